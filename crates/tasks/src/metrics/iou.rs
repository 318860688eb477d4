//! Mean intersection over union over the classes of a whole split.
//!
//! The intersection over union (Jaccard index) of a class is `hits / (true + answered - hits)`, in
//! pixels of the whole split. Its mean is taken over the classes that occur, in the truth or in the
//! answers: torchmetrics' `MulticlassJaccardIndex(average="macro", ignore_index=…)` and
//! scikit-learn's `jaccard_score(average="macro")`. Pixels whose truth is void count nowhere,
//! whatever was answered there.

/// How often each class was answered for each: counts of pixels over a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[true, answered]`, in rows.
    counts: Vec<u64>,
}

impl Confusion {
    /// No pixel yet, of so many classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts pixels: the true class of each, none where it is void, and the class that was answered.
    ///
    /// # Panics
    ///
    /// If a class is none of these.
    pub fn add(&mut self, pixels: impl IntoIterator<Item = (Option<usize>, usize)>) {
        for (truth, answered) in pixels {
            let Some(truth) = truth else { continue };
            assert!(
                truth.max(answered) < self.classes,
                "class {} of {}",
                truth.max(answered),
                self.classes
            );
            self.counts[truth * self.classes + answered] += 1;
        }
    }

    /// `counts[true][answered]`
    pub fn rows(&self) -> Vec<Vec<u64>> {
        let rows = self.counts.chunks_exact(self.classes.max(1));
        rows.map(<[u64]>::to_vec).collect()
    }

    /// The intersection over union of each class, 0..=1; none where it occurs neither in the truth
    /// nor in the answers.
    pub fn iou(&self) -> Vec<Option<f64>> {
        let class = |class| {
            let hits = self.counts[class * self.classes + class];
            let is_true: u64 = self.counts[class * self.classes..][..self.classes]
                .iter()
                .sum();
            let answered: u64 = self.counts.iter().skip(class).step_by(self.classes).sum();
            share(hits, is_true + answered - hits)
        };
        (0..self.classes).map(class).collect()
    }

    /// The mean of [`iou`](Self::iou) over the classes that occur; none where no pixel was counted.
    pub fn mean_iou(&self) -> Option<f64> {
        let occurring: Vec<f64> = self.iou().into_iter().flatten().collect();
        let sum: f64 = occurring.iter().sum();
        (!occurring.is_empty()).then(|| sum / occurring.len() as f64)
    }

    /// The share of pixels whose class was answered; none where no pixel was counted.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let hits = self.counts.iter().step_by(self.classes + 1).sum();
        share(hits, self.counts.iter().sum())
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
