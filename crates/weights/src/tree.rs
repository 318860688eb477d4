//! A model's tensors with their paths, as PyTorch would list them.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{FloatDType, Tensor};

/// Where a walk over a module is: names and types from the root on.
#[derive(Default)]
struct Place(Vec<(String, String)>);

impl Place {
    fn enter(&mut self, name: &str, kind: &str) {
        // Burn says `Struct:Linear`, to tell it from `Enum:…` and `Vec`.
        let kind = kind.strip_prefix("Struct:").unwrap_or(kind);
        self.0.push((name.to_owned(), kind.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn path(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.join(".")
    }

    fn leaf<const D: usize>(&self, param: &Param<Tensor<D>>) -> Leaf {
        let kind = self.0.last().map_or("", |(_, kind)| kind.as_str());
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let is_norm = [
            "BatchNorm",
            "GroupNorm",
            "InstanceNorm",
            "LayerNorm",
            "RmsNorm",
        ]
        .contains(&kind);
        if let (true, Some(last)) = (is_norm, names.last_mut()) {
            *last = match *last {
                "gamma" => "weight",
                "beta" => "bias",
                other => other,
            };
        }
        Leaf {
            path: names.join("."),
            kind: kind.to_owned(),
            shape: param.lazy_shape().to_vec(),
            id: param.id,
        }
    }
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The path, with PyTorch's names for what a norm holds.
    pub path: String,
    /// The type of the module that holds it.
    pub kind: String,
    /// Its shape; a linear layer's weight is `[in, out]`.
    pub shape: Vec<usize>,
    /// What Burn knows it by.
    pub id: ParamId,
}

/// The flag that switches what a layer does in training: a norm's statistics, dropout.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    /// The path of the module that it switches.
    pub owner: String,
    /// Its own.
    pub path: String,
    /// What Burn knows it by.
    pub id: ParamId,
}

impl Leaf {
    /// A running statistic of a batch norm, which is moved, not trained.
    pub fn is_statistic(&self) -> bool {
        self.kind == "BatchNorm"
            && (self.path.ends_with("running_mean") || self.path.ends_with("running_var"))
    }

    /// A linear layer's weight, which PyTorch keeps as `[out, in]` and Burn as `[in, out]`.
    pub fn is_linear_weight(&self) -> bool {
        self.kind == "Linear" && self.shape.len() == 2
    }
}

/// What is done with every tensor of a model.
pub(crate) trait Look {
    /// Sees one tensor; `param` is not drawn yet where nobody read it.
    fn look<const D: usize>(&mut self, leaf: Leaf, param: &Param<Tensor<D>>);
}

/// What takes the place of every tensor of a model.
pub(crate) trait Replace {
    /// The new parameter, or the old one.
    fn replace<const D: usize>(&mut self, leaf: Leaf, param: Param<Tensor<D>>) -> Param<Tensor<D>>;
}

/// Shows `to` every tensor of a model.
pub(crate) fn show<M: Module>(model: &M, to: &mut impl Look) {
    struct Walk<'a, L>(Place, &'a mut L);
    impl<L: Look> ModuleVisitor for Walk<'_, L> {
        fn enter_module(&mut self, name: &str, kind: &str) {
            self.0.enter(name, kind);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.look(self.0.leaf(param), param);
        }
    }
    model.visit(&mut Walk(Place::default(), to));
}

/// Replaces every tensor of a model.
pub(crate) fn replace<M: Module>(model: M, by: &mut impl Replace) -> M {
    struct Walk<'a, R>(Place, &'a mut R);
    impl<R: Replace> ModuleMapper for Walk<'_, R> {
        fn enter_module(&mut self, name: &str, kind: &str) {
            self.0.enter(name, kind);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.1.replace(self.0.leaf(&param), param)
        }
    }
    model.map(&mut Walk(Place::default(), by))
}

/// Every tensor of a model, in its own order, without drawing any.
pub fn leaves<M: Module>(model: &M) -> Vec<Leaf> {
    struct List(Vec<Leaf>);
    impl Look for List {
        fn look<const D: usize>(&mut self, leaf: Leaf, _: &Param<Tensor<D>>) {
            self.0.push(leaf);
        }
    }
    let mut list = List(Vec::new());
    show(model, &mut list);
    list.0
}

/// Every switch of a model.
pub fn switches<M: Module>(model: &M) -> Vec<Switch> {
    struct List(Place, Vec<Switch>);
    impl ModuleVisitor for List {
        fn enter_module(&mut self, name: &str, kind: &str) {
            self.0.enter(name, kind);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_flag(&mut self, flag: &Param<Flag>) {
            let path = self.0.path();
            let owner = path.rsplit_once('.').map_or("", |(owner, _)| owner);
            self.1.push(Switch {
                owner: owner.to_owned(),
                path,
                id: flag.id,
            });
        }
    }
    let mut list = List(Place::default(), Vec::new());
    model.visit(&mut list);
    list.1
}

/// The trained numbers of a model, counted without drawing them: running statistics are not.
pub fn parameters<M: Module>(model: &M) -> usize {
    let leaves = leaves(model).into_iter();
    let trained = leaves.filter(|leaf| !leaf.is_statistic());
    trained
        .map(|leaf| leaf.shape.iter().product::<usize>())
        .sum()
}

/// Converts parameters and running statistics to a type.
pub fn cast<M: Module>(model: M, dtype: FloatDType) -> M {
    struct Cast(FloatDType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(self.0))
        }
    }
    model.map(&mut Cast(dtype))
}
