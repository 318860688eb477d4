//! What `cargo xtask new` can make: what is written, where it is named, and what to do next.
//!
//! The texts are a working start as it stands, under a sample name in each form that a name takes:
//! `my_model`, `MyModel`, `my-model`, `my model`.

/// Something that can be made.
pub(super) struct Kind {
    /// As it is asked for.
    pub(super) name: &'static str,
    /// The name in its texts.
    pub(super) sample: &'static str,
    /// What the tables of models and data sets get to know.
    pub(super) names: &'static [&'static str],
    /// Path and text of each new file.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Where the workspace names it.
    pub(super) places: &'static [Place],
    /// What is said at the end.
    pub(super) next: &'static str,
}

/// Lines in a file that is there: before the first line that begins with `closes`, after one that
/// begins with `opens`.
pub(super) struct Place {
    pub(super) file: &'static str,
    pub(super) opens: &'static str,
    pub(super) closes: &'static str,
    pub(super) text: &'static str,
}

pub(super) const MODELS: &str = "crates/zoo/src/models.rs";
pub(super) const SETS: &str = "crates/zoo/src/data.rs";

/// The end of the table of models.
const fn model(text: &'static str) -> Place {
    Place {
        file: MODELS,
        opens: "pub static MODELS",
        closes: "];",
        text,
    }
}

/// The end of the table of data sets.
const fn set(text: &'static str) -> Place {
    Place {
        file: SETS,
        opens: "pub static SETS",
        closes: "];",
        text,
    }
}

/// The modules of the kinds of data.
const fn set_module(text: &'static str) -> Place {
    Place {
        file: SETS,
        opens: "mod labelled;",
        closes: "mod ",
        text,
    }
}

/// Everything that can be made.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "model",
        sample: "my_model",
        names: &["my_model", "my_model_small", "my_model-glyphs"],
        files: &[
            (
                "models/my_model/Cargo.toml",
                include_str!("model/Cargo.toml.in"),
            ),
            (
                "models/my_model/README.md",
                include_str!("model/README.md.in"),
            ),
            (
                "models/my_model/src/lib.rs",
                include_str!("model/src/lib.rs"),
            ),
            (
                "models/my_model/src/my_model.rs",
                include_str!("model/src/my_model.rs"),
            ),
            (
                "models/my_model/tests/golden/my_model.py",
                include_str!("model/golden.py"),
            ),
            (
                "models/my_model/recipes/my_model-glyphs.toml",
                include_str!("model/recipe.toml"),
            ),
        ],
        places: &[
            Place {
                file: "Cargo.toml",
                opens: "zoo-transformer = ",
                closes: "zoo-",
                text: "zoo-my-model = { path = \"models/my_model\" }\n",
            },
            Place {
                file: "crates/zoo/Cargo.toml",
                opens: "zoo-mlp.workspace",
                closes: "zoo-",
                text: "zoo-my-model.workspace = true\n",
            },
            model(include_str!("model/row.in")),
        ],
        next: "- `cargo xtask train my_model-glyphs` trains it as it is, on digits that are built in;\n\
               - write the model into models/my_model/src/my_model.rs, and its card into models/my_model/README.md;\n\
               - `python models/my_model/tests/golden/my_model.py` writes its golden numbers (needs torch and \
               safetensors);\n\
               - `cargo xtask test` runs the sweep over it; without the golden numbers it says that they are missing.\n\
               docs/adding-a-model.md walks through one.\n",
    },
    Kind {
        name: "dataset",
        sample: "my_data",
        names: &["my_data"],
        files: &[(
            "crates/zoo/src/data/my_data.rs",
            include_str!("dataset/my_data.rs"),
        )],
        places: &[
            set_module("mod my_data;\n"),
            set(include_str!("dataset/row.in")),
        ],
        next: "- `cargo xtask train mlp-friedman --set data.name=my_data` trains a model on it as it is;\n\
               - read your own examples in crates/zoo/src/data/my_data.rs, for the task that they are of.\n\
               docs/adding-a-dataset.md says how.\n",
    },
    Kind {
        name: "task",
        sample: "my_task",
        names: &["my_task", "my_task_mlp", "my_task_small", "my_task-mlp"],
        files: &[
            (
                "crates/tasks/src/my_task.rs",
                include_str!("task/my_task.rs"),
            ),
            (
                "crates/zoo/src/data/my_task.rs",
                include_str!("task/data.rs"),
            ),
            (
                "models/mlp/recipes/my_task-mlp.toml",
                include_str!("task/recipe.toml"),
            ),
            (
                "models/mlp/tests/golden/my_task_mlp.py",
                include_str!("task/golden.py"),
            ),
        ],
        places: &[
            Place {
                file: "crates/tasks/src/lib.rs",
                opens: "//! | [`regress`]",
                closes: "//! |",
                text: "//! | [`my_task`] | my task: numbers from numbers |\n",
            },
            Place {
                file: "crates/tasks/src/lib.rs",
                opens: "pub mod buckets;",
                closes: "pub mod ",
                text: "pub mod my_task;\n",
            },
            set_module("mod my_task;\n"),
            set(include_str!("task/data_row.in")),
            Place {
                file: MODELS,
                opens: "        name: \"regressor\"",
                closes: "    &Architecture",
                text: include_str!("task/model_row.in"),
            },
        ],
        next: "- `cargo xtask train my_task-mlp` trains it as it is, on numbers that are made up;\n\
               - write the task into crates/tasks/src/my_task.rs, and its examples into \
               crates/zoo/src/data/my_task.rs;\n\
               - `python models/mlp/tests/golden/my_task_mlp.py` writes golden numbers of its model (needs \
               torch and safetensors);\n\
               - `cargo xtask test` runs the sweep over it; without the golden numbers it says that they are missing.\n\
               docs/adding-a-task.md says what belongs where.\n",
    },
];
