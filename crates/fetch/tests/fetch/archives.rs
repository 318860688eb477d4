//! Members of a `.tar.gz`.

use zoo_fetch::Source;

use crate::server::{Answer, Server};
use crate::{Disk, HEAD, bytes, gzip, sum};

/// A tar of files by name and bytes. Names are written as they are, `..` included.
pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A source of one archive; members are named `x/NAME` and kept as `NAME`.
pub fn source(urls: &[String], served: &[u8], members: &[(&str, &[u8])]) -> Source {
    let mut text = format!(
        "{HEAD}[[archives]]\npath = 'all.tar.gz'\nurls = {urls:?}\nsize_bytes = {}\n",
        served.len()
    );
    for (name, bytes) in members {
        text += &format!(
            "[[archives.members]]\nmember = 'x/{name}'\npath = '{name}'\nsha256 = '{}'\nsize_bytes = {}\n",
            sum(bytes),
            bytes.len()
        );
    }
    Source::parse(&text).unwrap()
}

pub fn serve(body: &[u8]) -> Server {
    let body = body.to_vec();
    Server::new(move |request, _| Answer::ranged(request, &body))
}

#[test]
fn named_members_become_files_and_nothing_else_does() {
    let (disk, a, b) = (Disk::new(), bytes(5_000), bytes(7_000));
    let packed = gzip(
        &tar(&[("x/readme", b"hello"), ("./x/b", &b), ("x/a", &a)]),
        6,
    );
    let server = serve(&packed);
    let source = source(&[server.url("t")], &packed, &[("a", &a), ("b", &b)]);
    let report = disk.fetch(&source).unwrap();
    assert_eq!(report.fetched, ["a", "b"]);
    assert_eq!((disk.read("a"), disk.read("b")), (a, b));
    assert_eq!(
        disk.files(),
        ["a", "b"],
        "neither the archive nor the readme stays"
    );
    assert_eq!(disk.fetch(&source).unwrap().present, ["a", "b"]);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_archive_is_resumed_too() {
    let (disk, a) = (Disk::new(), bytes(50_000));
    let packed = gzip(&tar(&[("x/a", &a)]), 6);
    disk.put("all.tar.gz.part", &packed[..20_000]);
    let server = serve(&packed);
    disk.fetch(&source(&[server.url("t")], &packed, &[("a", &a)]))
        .unwrap();
    assert_eq!(server.offsets(), [Some(20_000)]);
    assert_eq!(disk.read("a"), a);
}

#[test]
fn an_archive_put_there_by_hand_is_used() {
    let (disk, a) = (Disk::new(), bytes(5_000));
    let packed = gzip(&tar(&[("x/a", &a)]), 6);
    disk.put("all.tar.gz", &packed);
    let server = Server::new(|_, _| Answer::status(500));
    disk.fetch(&source(&[server.url("t")], &packed, &[("a", &a)]))
        .unwrap();
    assert_eq!(server.seen(), []);
    assert_eq!(
        disk.files(),
        ["a", "all.tar.gz"],
        "what a person put there is theirs"
    );
}

/// An archive that must be refused, whole.
fn refused(tarball: &[u8], members: &[(&str, &[u8])], reason: &str) {
    let disk = Disk::new();
    let packed = gzip(tarball, 6);
    let server = serve(&packed);
    let error = disk
        .fetch(&source(&[server.url("t")], &packed, members))
        .unwrap_err()
        .to_string();
    assert!(error.contains(reason), "expected `{reason}` in:\n{error}");
    assert_eq!(disk.files(), [""; 0], "after: {reason}");
    let beside: Vec<_> = std::fs::read_dir(disk.root()).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing beside the folder");
}

#[test]
fn a_member_that_leaves_the_folder_is_refused() {
    let a = bytes(1_000);
    refused(
        &tar(&[("x/a", &a), ("../evil", b"!"), ("x/b", b"b")]),
        &[("a", &a), ("b", b"b")],
        "`../evil`",
    );
    refused(
        &tar(&[("/evil", b"!"), ("x/a", &a)]),
        &[("a", &a)],
        "`/evil`",
    );
    refused(
        &tar(&[("x/../../evil", b"!"), ("x/a", &a)]),
        &[("a", &a)],
        "evil",
    );
}

#[test]
fn a_member_that_is_not_the_one_named_is_refused() {
    let a = bytes(1_000);
    let mut other = a.clone();
    other[0] ^= 1;
    let long = vec![0; 50_000_000];
    refused(
        &tar(&[("x/a", &other)]),
        &[("a", &a)],
        "member `x/a`: wrong sum",
    );
    refused(
        &tar(&[("x/a", &a), ("x/b", b"short")]),
        &[("a", &a), ("b", &a)],
        "member `x/b`: wrong size",
    );
    refused(&tar(&[("x/a", &long)]), &[("a", &a)], "found more");
    refused(
        &tar(&[("x/a", &a)]),
        &[("a", &a), ("b", b"b")],
        "member `x/b` is not in it",
    );
    // Longer than anything that the source could mean: decompression stops.
    refused(&tar(&[("y", &long), ("x/a", &a)]), &[("a", &a)], "");

    use tar::EntryType as Kind;
    for kind in [
        Kind::Symlink,
        Kind::Link,
        Kind::Directory,
        Kind::Char,
        Kind::Block,
        Kind::Fifo,
    ] {
        let mut builder = tar::Builder::new(Vec::new());
        add_link(&mut builder, "x/a", kind, "/etc/passwd");
        let tarball = builder.into_inner().unwrap();
        refused(&tarball, &[("a", &a)], "not a plain file");
    }
    refused(b"this is no tar", &[("a", &a)], "");
}

fn add_link(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, to: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    builder.append_link(&mut header, name, to).unwrap();
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let (disk, outside, a) = (Disk::new(), tempfile::tempdir().unwrap(), bytes(1_000));
    let mut builder = tar::Builder::new(Vec::new());
    let to = outside.path().to_str().unwrap();
    add_link(&mut builder, "x", tar::EntryType::Symlink, to);
    add_link(&mut builder, "a", tar::EntryType::Symlink, to);
    let links = builder.into_inner().unwrap();
    // Without its end, which is two empty blocks, so that the plain file follows.
    let tarball = [&links[..1_024], &tar(&[("x/a", &a)])].concat();
    let packed = gzip(&tarball, 6);
    let server = serve(&packed);
    disk.fetch(&source(&[server.url("t")], &packed, &[("a", &a)]))
        .unwrap();
    assert_eq!((disk.files(), disk.read("a")), (vec!["a".to_owned()], a));
    let path = disk.root().join("digits/a");
    assert!(std::fs::symlink_metadata(path).unwrap().is_file());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn sizes_beyond_all_numbers_do_not_wrap_to_a_small_limit() {
    let (disk, other) = (Disk::new(), vec![0; 17 << 20]);
    let packed = gzip(&tar(&[("y", &other), ("x/a", b"a")]), 6);
    let server = serve(&packed);
    let mut text = format!(
        "{HEAD}[[archives]]\npath = 'all.tar.gz'\nurls = [{:?}]\nsize_bytes = {}\n",
        server.url("t"),
        packed.len()
    );
    // Together 2^64 and 0.
    for (name, size_bytes) in [("a", i64::MAX), ("b", i64::MAX), ("c", 2)] {
        text += &format!(
            "[[archives.members]]\nmember = 'x/{name}'\npath = '{name}'\nsha256 = '{}'\n\
             size_bytes = {size_bytes}\n",
            sum(b"a")
        );
    }
    let source = Source::parse(&text).unwrap();
    let error = disk.fetch(&source).unwrap_err().to_string();
    assert!(error.contains("member `x/a`: wrong size"), "{error}");
}

#[test]
fn a_wrong_archive_leaves_the_members_that_stand() {
    let (disk, a, b) = (Disk::new(), bytes(1_000), bytes(2_000));
    let good = gzip(&tar(&[("x/a", &a), ("x/b", &b)]), 6);
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    disk.put("a", &a);
    let (wrong, right) = (serve(&bad), serve(&good));
    let error = disk
        .fetch(&source(&[wrong.url("t")], &good, &[("a", &a), ("b", &b)]))
        .unwrap_err();
    assert!(error.to_string().contains("  b (2000 bytes"), "{error}");
    assert_eq!(
        (disk.files(), disk.read("a")),
        (vec!["a".to_owned()], a.clone())
    );

    let urls = [wrong.url("t"), right.url("t")];
    let report = disk
        .fetch(&source(&urls, &good, &[("a", &a), ("b", &b)]))
        .unwrap();
    assert_eq!((report.present.len(), report.fetched.len()), (0, 2));
    assert_eq!(disk.files(), ["a", "b"]);
}
