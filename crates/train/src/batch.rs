//! A batch: named columns in host memory.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Named columns of numbers, as loader threads assemble them: what a task's loss and metrics are made
/// of. Whoever does not know the task can still sum, write, compare and repeat the columns.
#[derive(Clone, Debug)]
pub struct Batch {
    columns: Vec<(String, TensorData)>,
    examples: usize,
    weight: f64,
}

impl Batch {
    /// A batch of so many examples, without columns yet. It weighs as much as it has examples.
    #[must_use]
    pub fn new(examples: usize) -> Self {
        Self {
            columns: Vec::new(),
            examples,
            weight: examples as f64,
        }
    }

    /// The same with another column.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, data: TensorData) -> Self {
        self.columns.push((name.into(), data));
        self
    }

    /// The same with another weight: what its mean loss is a mean over, such as scored tokens.
    #[must_use]
    pub fn weighing(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Examples in the batch.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// What its mean loss is a mean over.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The columns, in the order in which they were given.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &TensorData)> {
        self.columns.iter().map(|(name, data)| (&**name, data))
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&TensorData> {
        let found = self.columns.iter().find(|(known, _)| known == name);
        found.map(|(_, data)| data)
    }

    /// Changes each column in turn.
    pub fn change(&mut self, mut change: impl FnMut(&str, TensorData) -> TensorData) {
        for (name, data) in &mut self.columns {
            let bytes = TensorData::new(Vec::<f32>::new(), [0]);
            *data = change(name, std::mem::replace(data, bytes));
        }
    }

    /// Takes a column of floats out, onto a device.
    ///
    /// # Panics
    /// If there is no such column: a task reads what it wrote itself.
    pub fn float<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.take(name), device)
    }

    /// Takes a column of whole numbers out, onto a device.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn int<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D, Int> {
        Tensor::from_data(self.take(name), device)
    }

    /// Takes a column of truth values out, onto a device.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn bool<const D: usize>(&mut self, name: &str, device: &Device) -> Tensor<D, Bool> {
        Tensor::from_data(self.take(name), device)
    }

    /// Takes a column out.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn take(&mut self, name: &str) -> TensorData {
        let at = self.columns.iter().position(|(known, _)| known == name);
        let at = at.unwrap_or_else(|| panic!("a batch without the column {name:?}"));
        self.columns.remove(at).1
    }

    /// A batch of `count` examples of this one's, again from the first where there are fewer, with
    /// those of its columns that have a row for each example.
    #[must_use]
    pub fn rows(&self, count: usize) -> Self {
        let whole = self.columns.iter();
        let whole = whole.filter(|(_, data)| data.shape().first() == Some(&self.examples));
        Self {
            columns: whole
                .map(|(name, data)| (name.clone(), repeated(data, count)))
                .collect(),
            examples: count,
            weight: count as f64,
        }
    }
}

/// The first rows, again from the start where there are fewer.
fn repeated(data: &TensorData, count: usize) -> TensorData {
    let mut shape = data.shape().to_vec();
    let bytes = data.as_bytes();
    let row = bytes.len() / shape[0].max(1);
    let cycle = (0..count).flat_map(|number| {
        let start = number % shape[0] * row;
        bytes[start..start + row].iter().copied()
    });
    let bytes: Vec<u8> = cycle.collect();
    shape[0] = count;
    TensorData::from_bytes_vec(bytes, shape, data.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_repeat_what_has_a_row_for_each_example() {
        let batch = Batch::new(2)
            .with("points", TensorData::from([[1_i32, 2], [3, 4]]))
            .with("targets", TensorData::from([7_i32, 8, 9]));
        let three = batch.rows(3);
        assert_eq!(three.examples(), 3);
        let points = three.column("points").unwrap();
        assert_eq!(points, &TensorData::from([[1_i32, 2], [3, 4], [1, 2]]));
        assert!(
            three.column("targets").is_none(),
            "it has no row an example"
        );
    }
}
