//! What `cargo metadata --no-deps` says about this workspace, reduced to what xtask asks of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Failure;

/// The workspace's own packages.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One crate of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace root, with forward slashes: `models/mlp`.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// What each cargo feature turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// One line of a `[dependencies]` table.
pub(crate) struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub(crate) name: String,
    /// Where it lies in this workspace; `None` for a crate from outside.
    pub(crate) folder: Option<String>,
    /// For tests, examples and benchmarks only.
    pub(crate) dev: bool,
    pub(crate) features: Vec<String>,
}

impl Workspace {
    /// Reads the JSON that cargo prints.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Failure> {
        let fault = |what: &str| Failure::Work(format!("cargo metadata: {what}"));
        let json: Value =
            serde_json::from_slice(json).map_err(|error| fault(&error.to_string()))?;
        let root = json["workspace_root"]
            .as_str()
            .ok_or_else(|| fault("no workspace_root"))?;
        let packages = json["packages"]
            .as_array()
            .ok_or_else(|| fault("no packages"))?;
        let packages = packages.iter().map(|package| {
            Package::parse(package, root).ok_or_else(|| fault("a package without name or folder"))
        });
        Ok(Self {
            packages: packages.collect::<Result<_, _>>()?,
        })
    }
}

impl Package {
    fn parse(json: &Value, root: &str) -> Option<Self> {
        let folder = Path::new(json["manifest_path"].as_str()?)
            .parent()?
            .to_str()?;
        let features = json["features"].as_object()?;
        Some(Self {
            name: json["name"].as_str()?.to_owned(),
            folder: relative(folder, root),
            dependencies: json["dependencies"]
                .as_array()?
                .iter()
                .map(|dependency| Dependency::parse(dependency, root))
                .collect::<Option<_>>()?,
            features: features
                .iter()
                .map(|(name, on)| (name.clone(), strings(on)))
                .collect(),
        })
    }
}

impl Dependency {
    fn parse(json: &Value, root: &str) -> Option<Self> {
        Some(Self {
            name: json["name"].as_str()?.to_owned(),
            folder: json["path"].as_str().map(|path| relative(path, root)),
            dev: json["kind"].as_str() == Some("dev"),
            features: strings(&json["features"]),
        })
    }
}

/// `path` as seen from `root`, with forward slashes; unchanged where it lies elsewhere.
fn relative(path: &str, root: &str) -> String {
    let inside = Path::new(path)
        .strip_prefix(root)
        .unwrap_or(Path::new(path));
    inside.to_string_lossy().replace('\\', "/")
}

fn strings(json: &Value) -> Vec<String> {
    let items = json.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
