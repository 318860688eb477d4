//! Gradients under the names of the weights that they belong to.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use crate::Origin;
use crate::tree::{Leaf, Look, show};

/// The gradient of every parameter by its name at the origin and in the origin's layout; `None`
/// for one that the loss does not depend on. Running statistics have none and are left out.
pub fn gradients<M: Module>(
    model: &M,
    origin: &Origin,
    gradients: &Gradients,
) -> BTreeMap<String, Option<TensorData>> {
    let mut collect = Collect {
        origin,
        gradients,
        found: BTreeMap::new(),
    };
    show(model, &mut collect);
    collect.found
}

struct Collect<'a> {
    origin: &'a Origin,
    gradients: &'a Gradients,
    found: BTreeMap<String, Option<TensorData>>,
}

impl Look for Collect<'_> {
    fn look<const D: usize>(&mut self, leaf: Leaf, param: &Param<Tensor<D>>) {
        if leaf.is_statistic() {
            return;
        }
        let name = self.origin.name(&leaf.path);
        let transposed = leaf.is_linear_weight() && self.origin.is_transposed(&name);
        let gradient = param.val().grad(self.gradients).map(|gradient| {
            let gradient = if transposed {
                gradient.swap_dims(0, 1)
            } else {
                gradient
            };
            gradient.into_data()
        });
        self.found.insert(name, gradient);
    }
}
