//! Walks a module's tensors by their exported names.

use burn::module::{Module, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Gradients;

/// One tensor of a module.
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) shape: Shape,
}

impl Entry {
    /// Whether an optimiser trains it: a running statistic it does not.
    fn is_trained(&self) -> bool {
        !self.path.contains(".running_")
    }
}

#[derive(Default)]
struct Walk<'a> {
    path: Vec<String>,
    entries: Vec<Entry>,
    gradients: Option<&'a Gradients>,
}

impl ModuleVisitor for Walk<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let entry = Entry {
            path: path.clone(),
            // Draws no weights: counting ResNet-34 is free.
            shape: param.lazy_shape(),
        };
        if let Some(gradients) = self.gradients
            && entry.is_trained()
        {
            let gradient = param.grad(gradients);
            let gradient = gradient.unwrap_or_else(|| panic!("{path}: no gradient"));
            let size = gradient.abs().sum().into_scalar::<f32>();
            assert!(size.is_finite() && size > 0.0, "{path}: sum of |g| {size}");
        }
        self.entries.push(entry);
    }
}

pub(crate) fn entries(model: &impl Module) -> Vec<Entry> {
    let mut walk = Walk::default();
    model.visit(&mut walk);
    walk.entries
}

/// Elements that an optimiser trains, as papers count them.
pub(crate) fn count(model: &impl Module) -> usize {
    let entries = entries(model);
    let trained = entries.iter().filter(|entry| entry.is_trained());
    trained.map(|entry| entry.shape.num_elements()).sum()
}

/// Every trained tensor must have a finite gradient that is not zero throughout.
pub(crate) fn assert_gradient_everywhere(model: &impl Module, logits: Tensor<2>) {
    let gradients = logits.powi_scalar(2).mean().backward();
    let mut walk = Walk {
        gradients: Some(&gradients),
        ..Walk::default()
    };
    model.visit(&mut walk);
    assert!(!walk.entries.is_empty());
}
