//! Who may import whom: the table of DESIGN.md as data, held against `cargo metadata`.
//!
//! Counts normal and build dependencies on every platform; what only tests, examples and
//! benchmarks use (dev-dependencies) is free.

use crate::metadata::{Dependency, Package, Workspace};

/// One row: what the crates in one place may import. A pattern may end in `*`.
struct Rule {
    /// Folder of the crates that this row is about.
    crates: &'static str,
    /// Folders of the crates of ours that they may import.
    ours: &'static [&'static str],
    outside: Outside,
    /// Whether they may turn on a backend of Burn.
    backends: bool,
}

/// Crates from outside the workspace.
enum Outside {
    /// These and no others.
    Only(&'static [&'static str]),
    /// Any but these.
    Not(&'static [&'static str]),
}

/// The first row whose folder matches a crate holds for it.
const RULES: &[Rule] = &[
    Rule {
        crates: "models/*",
        ours: &["crates/kernels"],
        outside: Outside::Only(&["burn", "serde"]),
        backends: false,
    },
    Rule {
        crates: "datasets/*",
        ours: &["crates/codec", "crates/files"],
        outside: Outside::Not(&[
            "burn-*", "ureq", "reqwest", "hyper*", "curl*", "hf-hub", "tokio",
        ]),
        backends: false,
    },
    // Operations of one backend, by what that backend computes with itself.
    Rule {
        crates: "crates/kernels",
        ours: &[],
        outside: Outside::Not(&["burn-*"]),
        backends: true,
    },
    Rule {
        crates: "crates/files",
        ours: &[],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/print",
        ours: &[],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/codec",
        ours: &["crates/files"],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/tasks",
        ours: &["crates/codec", "crates/kernels", "crates/train"],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/hub",
        ours: &[
            "crates/codec",
            "crates/files",
            "crates/tasks",
            "crates/weights",
        ],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/weights",
        ours: &["crates/files"],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/train",
        ours: &[
            "crates/files",
            "crates/kernels",
            "crates/print",
            "crates/weights",
        ],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/compare",
        ours: &[
            "crates/files",
            "crates/print",
            "crates/train",
            "crates/weights",
        ],
        outside: Outside::Not(&["burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/server",
        ours: &[],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/report",
        ours: &[
            "crates/files",
            "crates/print",
            "crates/server",
            "crates/train",
        ],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/fetch",
        ours: &["crates/files"],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
    Rule {
        crates: "crates/program",
        ours: &["crates/*"],
        outside: Outside::Not(&[]),
        backends: true,
    },
    Rule {
        crates: "crates/zoo",
        ours: &["crates/*", "models/*", "datasets/*"],
        outside: Outside::Not(&[]),
        backends: true,
    },
    Rule {
        crates: "xtask",
        ours: &["crates/files", "crates/print"],
        outside: Outside::Not(&["burn", "burn-*"]),
        backends: false,
    },
];

/// Features of Burn that bring a backend in.
const BACKENDS: &[&str] = &[
    "cpu", "cuda", "flex", "metal", "ndarray", "remote", "rocm", "tch", "vulkan", "webgpu", "wgpu",
];

/// Every edge that the rules forbid, one sentence each.
pub(crate) fn violations(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let place = format!("{}/Cargo.toml", package.folder);
        let Some(rule) = RULES
            .iter()
            .find(|rule| matches(rule.crates, &package.folder))
        else {
            found.push(format!(
                "{place}: no import rule for this crate; add one to xtask/src/imports.rs"
            ));
            continue;
        };
        let breaches = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.dev)
            .filter_map(|dependency| rule.breach(dependency))
            .chain(rule.forwarded_backends(package));
        found.extend(breaches.map(|breach| format!("{place}: {breach}")));
    }
    found
}

impl Rule {
    fn breach(&self, dependency: &Dependency) -> Option<String> {
        let (name, crates) = (&dependency.name, self.crates);
        if let Some(folder) = &dependency.folder {
            let allowed = self.ours.iter().any(|pattern| matches(pattern, folder));
            return (!allowed).then(|| match self.ours {
                [] => {
                    format!("imports {name} ({folder}), but {crates} may import no crate of ours")
                }
                ours => format!(
                    "imports {name} ({folder}), but of our crates {crates} may import only {}",
                    ours.join(", ")
                ),
            });
        }
        match self.outside {
            Outside::Only(list) if !list.iter().any(|pattern| matches(pattern, name)) => {
                return Some(format!(
                    "imports {name}, but {crates} may import only {}",
                    list.join(", ")
                ));
            }
            Outside::Not(list) if list.iter().any(|pattern| matches(pattern, name)) => {
                return Some(format!(
                    "imports {name}, but {crates} may never import {}",
                    list.join(", ")
                ));
            }
            _ => {}
        }
        let backend = dependency
            .features
            .iter()
            .find(|feature| BACKENDS.contains(&feature.as_str()));
        let backend = backend.filter(|_| name == "burn" && !self.backends)?;
        Some(format!(
            "turns on burn's backend `{backend}`, but {crates} may name no backend outside tests"
        ))
    }

    /// Features of the package that pass a backend on to Burn.
    fn forwarded_backends(&self, package: &Package) -> Vec<String> {
        let named = |on: &String| {
            let backend = on
                .strip_prefix("burn/")
                .or_else(|| on.strip_prefix("burn?/"));
            backend.is_some_and(|backend| BACKENDS.contains(&backend))
        };
        package
            .features
            .iter()
            .filter(|(_, on)| !self.backends && on.iter().any(named))
            .map(|(feature, _)| {
                format!(
                    "feature `{feature}` names a backend of burn, but {} may not",
                    self.crates
                )
            })
            .collect()
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cargo::{cargo, root};

    fn external(name: &str) -> Value {
        json!({ "name": name, "kind": null, "features": [] })
    }

    fn ours(name: &str, folder: &str) -> Value {
        json!({ "name": name, "kind": null, "features": [], "path": format!("/zoo/{folder}") })
    }

    /// What is found in a workspace of one crate in `folder`.
    fn check(folder: &str, dependencies: &[Value], features: Value) -> Vec<String> {
        let metadata = json!({
            "workspace_root": "/zoo",
            "packages": [{
                "name": "subject",
                "manifest_path": format!("/zoo/{folder}/Cargo.toml"),
                "dependencies": dependencies,
                "features": features,
            }],
        });
        let Ok(workspace) = Workspace::parse(metadata.to_string().as_bytes()) else {
            panic!("the planted metadata does not parse");
        };
        violations(&workspace)
    }

    fn edge(folder: &str, dependency: Value) -> Vec<String> {
        check(folder, &[dependency], json!({}))
    }

    #[test]
    fn every_forbidden_edge_of_the_table_is_caught() {
        let planted = [
            ("models/mlp", external("rand")),
            ("models/mlp", external("burn-flex")),
            ("models/mlp", ours("zoo-cnn", "models/cnn")),
            ("models/mlp", ours("zoo-train", "crates/train")),
            ("crates/kernels", external("burn-flex")),
            ("crates/kernels", ours("zoo-train", "crates/train")),
            ("datasets/text", external("ureq")),
            ("datasets/text", external("burn-wgpu")),
            ("datasets/text", ours("zoo-images", "datasets/images")),
            ("datasets/text", ours("zoo-fetch", "crates/fetch")),
            ("crates/train", external("burn-ndarray")),
            ("crates/train", ours("zoo-mlp", "models/mlp")),
            ("crates/train", ours("zoo-text", "datasets/text")),
            ("crates/compare", ours("zoo-mlp", "models/mlp")),
            ("crates/server", ours("zoo-report", "crates/report")),
            ("crates/fetch", external("burn")),
            ("crates/fetch", external("burn-core")),
            ("crates/fetch", ours("zoo-images", "datasets/images")),
            ("crates/program", ours("zoo-mlp", "models/mlp")),
            ("crates/program", ours("zoo-text", "datasets/text")),
            ("crates/zoo", ours("xtask", "xtask")),
            ("xtask", external("burn")),
            ("xtask", ours("zoo", "crates/zoo")),
        ];
        for (folder, dependency) in planted {
            let name = dependency["name"].as_str().unwrap().to_owned();
            let found = edge(folder, dependency);
            assert_eq!(found.len(), 1, "{folder} -> {name}: {found:?}");
            assert!(
                found[0].starts_with(&format!("{folder}/Cargo.toml: imports {name}")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn allowed_edges_pass() {
        let planted = [
            ("models/mlp", external("burn")),
            ("models/mlp", external("serde")),
            ("models/mlp", ours("zoo-kernels", "crates/kernels")),
            ("crates/kernels", external("gemm")),
            ("crates/train", ours("zoo-kernels", "crates/kernels")),
            ("datasets/images", external("image")),
            ("crates/train", external("toml")),
            ("crates/compare", ours("zoo-train", "crates/train")),
            ("crates/fetch", external("ureq")),
            ("xtask", ours("zoo-files", "crates/files")),
            ("crates/program", ours("zoo-tasks", "crates/tasks")),
            ("crates/zoo", ours("zoo-mlp", "models/mlp")),
            ("xtask", external("lexopt")),
        ];
        for (folder, dependency) in planted {
            assert_eq!(edge(folder, dependency), Vec::<String>::new(), "{folder}");
        }
    }

    #[test]
    fn a_build_dependency_counts_and_a_dev_dependency_does_not() {
        let with_kind = |kind: &str| json!({ "name": "burn-flex", "kind": kind, "features": [] });
        assert_eq!(edge("models/mlp", with_kind("build")).len(), 1);
        assert!(edge("models/mlp", with_kind("dev")).is_empty());
    }

    #[test]
    fn a_backend_of_burn_is_named_by_zoo_and_the_kernels_alone() {
        let burn =
            |kind: Value| json!({ "name": "burn", "kind": kind, "features": ["std", "flex"] });
        assert_eq!(edge("models/mlp", burn(Value::Null)).len(), 1);
        assert_eq!(edge("crates/train", burn(Value::Null)).len(), 1);
        assert!(edge("models/mlp", burn("dev".into())).is_empty());
        assert!(edge("crates/zoo", burn(Value::Null)).is_empty());

        let feature = json!({ "gpu": ["burn/wgpu"] });
        assert_eq!(check("crates/train", &[], feature.clone()).len(), 1);
        assert!(check("crates/zoo", &[], feature.clone()).is_empty());
        assert!(check("crates/kernels", &[], feature).is_empty());
    }

    #[test]
    fn a_crate_without_a_rule_is_named() {
        let found = check("crates/mystery", &[], json!({}));
        assert!(
            found[0].contains("crates/mystery/Cargo.toml: no import rule"),
            "{found:?}"
        );
    }

    #[test]
    fn this_workspace_keeps_the_rules() {
        let output = cargo()
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version",
                "1",
            ])
            .current_dir(root())
            .output()
            .unwrap();
        let Ok(workspace) = Workspace::parse(&output.stdout) else {
            panic!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        assert!(
            workspace.packages.len() > 5,
            "the crates of this workspace are not seen"
        );
        assert_eq!(violations(&workspace), Vec::<String>::new());
    }
}
