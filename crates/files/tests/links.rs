//! A folder that somebody else made, with links in it: nothing outside of it is written or removed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use zoo_files::Folder;

/// What lies under a name before something is done to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    LinkToFile,
    LinkToNothing,
    LinkToFolder,
    HardLink,
    Pipe,
}

const PLANTS: [Plant; 5] = [
    Plant::LinkToFile,
    Plant::LinkToNothing,
    Plant::LinkToFolder,
    Plant::HardLink,
    Plant::Pipe,
];

/// A place outside, and a folder with `name` planted in it.
struct Trap {
    root: tempfile::TempDir,
    folder: Folder,
}

impl Trap {
    fn new(plant: Plant) -> Self {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("profile"), "mine").unwrap();
        fs::create_dir(root.path().join("run")).unwrap();
        let name = root.path().join("run/name");
        match plant {
            Plant::LinkToFile => symlink(outside.join("profile"), &name).unwrap(),
            Plant::LinkToNothing => symlink(outside.join("absent"), &name).unwrap(),
            Plant::LinkToFolder => symlink(&outside, &name).unwrap(),
            Plant::HardLink => fs::hard_link(outside.join("profile"), &name).unwrap(),
            Plant::Pipe => {
                mknodat(CWD, &name, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            }
        }
        let folder = Folder::open(&root.path().join("run")).unwrap();
        Self { root, folder }
    }

    fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = fs::read_dir(self.root.path().join("outside")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    fn name(&self) -> PathBuf {
        self.root.path().join("run/name")
    }
}

type Act = fn(&Folder) -> io::Result<()>;

/// Everything that a folder can do to a name, and whether it is refused where a link is planted.
const ACTS: [(&str, Act, bool); 10] = [
    ("write", |folder| folder.write("name", b"ours"), false),
    (
        "create",
        |folder| folder.create("name")?.write_all(b"ours"),
        false,
    ),
    ("remove", |folder| folder.remove("name"), false),
    (
        "rename",
        |folder| {
            folder.write("part", b"ours")?;
            folder.rename("part", "name")
        },
        false,
    ),
    (
        "append",
        |folder| folder.append("name")?.write_all(b"ours"),
        true,
    ),
    (
        "lock",
        |folder| {
            let mut file = folder.lock("name")?;
            file.set_len(0)?;
            file.write_all(b"ours")
        },
        true,
    ),
    (
        "inner",
        |folder| folder.make_inner("name")?.write("profile", b"ours"),
        true,
    ),
    (
        "path",
        |folder| folder.make_inner("name/inner")?.write("profile", b"ours"),
        true,
    ),
    (
        "new folder",
        |folder| folder.put_folder("name", |part| part.write("profile", b"ours")),
        false,
    ),
    (
        "folder",
        |folder| {
            let put = |part: &Folder| part.write("profile", b"ours");
            folder.merge_folder("name", put).map(drop)
        },
        true,
    ),
];

#[test]
fn nothing_outside_is_changed_whatever_is_done_to_a_planted_name() {
    for plant in PLANTS {
        for (act, does, is_refused) in ACTS {
            let trap = Trap::new(plant);
            let before = trap.outside();
            let done = does(&trap.folder);
            assert_eq!(trap.outside(), before, "{act} at {plant:?}");
            let names: Vec<_> = fs::read_dir(trap.root.path().join("run"))
                .unwrap()
                .collect();
            assert!(names.len() <= 2, "{act} at {plant:?} left {names:?}");
            let is_link = !matches!(plant, Plant::HardLink | Plant::Pipe);
            if is_link && is_refused {
                let error = done.unwrap_err().to_string();
                assert!(
                    error.starts_with("it is a link"),
                    "{act} at {plant:?}: {error}"
                );
            } else if !is_refused {
                done.unwrap();
                let left = fs::symlink_metadata(trap.name());
                let left = left.map_or("nothing", |left| match left.file_type() {
                    kind if kind.is_file() => "file",
                    kind if kind.is_dir() => "folder",
                    _ => "other",
                });
                let expected = match act {
                    "remove" => "nothing",
                    "new folder" => "folder",
                    _ => "file",
                };
                assert_eq!(left, expected, "{act} at {plant:?}");
            }
        }
    }
}

#[test]
fn a_log_with_a_name_elsewhere_is_copied_and_goes_on() {
    let trap = Trap::new(Plant::HardLink);
    let mut log = trap.folder.append("name").unwrap();
    log.write_all(b" and ours").unwrap();
    assert_eq!(fs::read(trap.name()).unwrap(), b"mine and ours");
    assert_eq!(fs::metadata(trap.name()).unwrap().nlink(), 1);
    assert_eq!(trap.outside().into_values().collect::<Vec<_>>(), [b"mine"]);
    // A lock is not: another process may hold it by the other name.
    let trap = Trap::new(Plant::HardLink);
    let error = trap.folder.lock("name").unwrap_err().to_string();
    assert!(error.contains("hard link"), "{error}");
}

#[test]
fn what_waits_or_never_ends_is_no_log() {
    let trap = Trap::new(Plant::Pipe);
    for open in [Folder::append, Folder::lock] {
        let error = open(&trap.folder, &"name").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
    assert!(trap.folder.size("name").is_err());
}

#[test]
fn links_inside_what_is_removed_are_removed_and_not_followed() {
    let trap = Trap::new(Plant::LinkToFolder);
    let inner = trap.folder.make_inner("old/inner").unwrap();
    symlink(trap.root.path().join("outside"), inner.path().join("link")).unwrap();
    inner.write("file", b"").unwrap();
    let before = trap.outside();
    trap.folder.remove("old").unwrap();
    trap.folder.remove("name").unwrap();
    trap.folder.remove("absent").unwrap();
    assert_eq!(trap.outside(), before);
    assert!(trap.folder.names().unwrap().is_empty());
}

#[test]
fn no_depth_of_folders_ends_the_program() {
    let trap = Trap::new(Plant::LinkToFile);
    let mut folder = trap.folder.make_inner("deep").unwrap();
    for _ in 0..100 {
        folder = folder.new_inner("d").unwrap();
    }
    let error = trap.folder.remove("deep").unwrap_err().to_string();
    assert!(error.contains("folders in one another"), "{error}");
}

#[test]
fn a_name_leads_nowhere() {
    let trap = Trap::new(Plant::LinkToFolder);
    let before = trap.outside();
    let absolute = trap.root.path().join("outside/profile");
    let absolute = absolute.to_str().unwrap();
    for name in [
        "",
        ".",
        "..",
        "../outside/profile",
        "name/",
        "name/profile",
        absolute,
    ] {
        let folder = &trap.folder;
        let done = [
            folder.write(name, b"ours"),
            folder.create(name).map(drop),
            folder.append(name).map(drop),
            folder.lock(name).map(drop),
            folder.remove(name),
            folder.rename("name", name),
            folder.new_inner(name).map(drop),
            folder.put_folder(name, |_| io::Result::Ok(())),
            folder.merge_folder(name, |_| io::Result::Ok(())).map(drop),
        ];
        for (number, done) in done.into_iter().enumerate() {
            assert!(done.is_err(), "{number} of {name:?}");
        }
        let path = folder.make_inner(name).map(|inner| inner.path().to_owned());
        assert!(path.is_err() || name.is_empty() || name == ".", "{name:?}");
    }
    assert_eq!(trap.outside(), before);
}

/// The folder that was opened is what is written to, wherever its path leads meanwhile.
#[test]
fn what_takes_the_place_of_an_open_folder_is_not_written_to() {
    let trap = Trap::new(Plant::LinkToFile);
    let root = trap.root.path();
    assert!(trap.folder.is_there());
    fs::rename(root.join("run"), root.join("moved")).unwrap();
    symlink(root.join("outside"), root.join("run")).unwrap();
    assert!(!trap.folder.is_there());
    let before = trap.outside();
    trap.folder.write("profile", b"ours").unwrap();
    trap.folder.remove("absent").unwrap();
    trap.folder
        .make_inner("inner")
        .unwrap()
        .write("a", b"")
        .unwrap();
    assert_eq!(trap.outside(), before);
    assert_eq!(fs::read(root.join("moved/profile")).unwrap(), b"ours");
    assert!(root.join("moved/inner/a").exists());
}

/// A person may name a folder by a link; what lies in it may be none.
#[test]
fn the_way_to_a_folder_may_be_a_link() {
    let trap = Trap::new(Plant::LinkToFolder);
    let named = trap.root.path().join("named");
    symlink(trap.root.path().join("run"), &named).unwrap();
    zoo_files::write(&named.join("file"), b"ours").unwrap();
    Folder::make(&named).unwrap().write("other", b"").unwrap();
    assert!(trap.root.path().join("run/file").exists());
    let put = |part: &Folder| part.write("a", b"");
    let error = zoo_files::merge_folder(&named.join("name"), put).unwrap_err();
    assert!(error.to_string().starts_with("it is a link"), "{error}");
}

#[test]
fn names_of_new_files_are_not_known_before() {
    fn part(folder: &Path) -> String {
        let folder = Folder::open(folder).unwrap();
        let mut seen = String::new();
        folder
            .replace("events.out", |_| {
                let names = folder.names()?;
                seen = names[0].to_str().unwrap().to_owned();
                io::Result::Ok(())
            })
            .unwrap();
        seen
    }
    let root = tempfile::tempdir().unwrap();
    let first = part(root.path());
    fs::remove_file(root.path().join("events.out")).unwrap();
    assert_ne!(part(root.path()), first);
    assert!(
        first.starts_with('.') && first.ends_with(".part"),
        "{first}"
    );
    assert!(!first.contains("events"), "{first}");
    let mut read = String::new();
    let mut log = Folder::open(root.path()).unwrap().append("log").unwrap();
    log.write_all(b"one").unwrap();
    let again = Folder::open(root.path()).unwrap().append("log");
    again.unwrap().read_to_string(&mut read).unwrap();
    assert_eq!(read, "one", "a log may be read by its handle");
}
