//! What [`verify`] says of what lies there.

use zoo_fetch::{Size, Status, verify};

use crate::{Disk, bytes, gzip, source, sum, vague_source};

/// The status of a file that should hold `data`.
fn status(disk: &Disk, path: &str, data: &[u8]) -> Status {
    let source = source(&[(path, &["https://example.org/x".into()], data)]);
    let mut found = verify(&source, disk.root());
    assert_eq!(found.len(), 1);
    found.remove(0).1
}

#[test]
fn of_a_plain_file() {
    let (disk, data) = (Disk::new(), bytes(1_000));
    assert_eq!(status(&disk, "a", &data), Status::Missing);
    disk.put("a", &data);
    assert_eq!(status(&disk, "a", &data), Status::Ok);
    disk.put("a", &data[..999]);
    assert_eq!(
        status(&disk, "a", &data),
        Status::WrongSize {
            expected: Size::Exact(1_000),
            found: 999
        }
    );
    disk.put("a", &bytes(1_001));
    assert_eq!(
        status(&disk, "a", &data),
        Status::WrongSize {
            expected: Size::Exact(1_000),
            found: 1_001
        }
    );
    disk.put("a", &[0; 1_000]);
    let wrong = Status::WrongSum {
        expected: sum(&data),
        found: sum(&[0; 1_000]),
    };
    assert_eq!(status(&disk, "a", &data), wrong);
    disk.put("folder/x", b"");
    assert!(matches!(status(&disk, "folder", &data), Status::Damaged(_)));
}

#[test]
fn of_a_gzip_file() {
    let (disk, data) = (Disk::new(), bytes(1_000));
    let packed = gzip(&data, 6);
    disk.put("a.gz", &packed);
    assert_eq!(status(&disk, "a.gz", &data), Status::Ok);
    disk.put("a.gz", &packed[..packed.len() - 9]);
    assert_eq!(
        status(&disk, "a.gz", &data),
        Status::Damaged("the gzip stream ends early".into())
    );
    disk.put("a.gz", b"<html>Not found</html>");
    assert!(matches!(status(&disk, "a.gz", &data), Status::Damaged(_)));
    disk.put("a.gz", &gzip(&data[..400], 6));
    assert_eq!(
        status(&disk, "a.gz", &data),
        Status::WrongSize {
            expected: Size::Exact(1_000),
            found: 400
        }
    );
    disk.put("a.gz", &gzip(&vec![0; 10_000_000], 6));
    let Status::WrongSize {
        expected: Size::Exact(1_000),
        found,
    } = status(&disk, "a.gz", &data)
    else {
        panic!()
    };
    assert!(
        (1_001..100_000).contains(&found),
        "a bomb is not unpacked to its end: {found}"
    );
}

#[test]
fn a_plain_copy_counts_where_there_is_no_gzip() {
    let (disk, data) = (Disk::new(), bytes(1_000));
    disk.put("a", &data);
    assert_eq!(status(&disk, "a.gz", &data), Status::Ok);
    disk.put("a", &data[..10]);
    assert_eq!(
        status(&disk, "a.gz", &data),
        Status::WrongSize {
            expected: Size::Exact(1_000),
            found: 10
        }
    );
    disk.put("a", &data);
    disk.put("a.gz", b"broken");
    assert!(
        matches!(status(&disk, "a.gz", &data), Status::Damaged(_)),
        "readers would take this one"
    );
}

#[test]
fn of_a_file_of_which_only_the_beginning_of_the_sum_is_published() {
    let (disk, data) = (Disk::new(), bytes(1_000));
    let status = |disk: &Disk| {
        let source = vague_source("a", "https://example.org/x", &data, 3);
        verify(&source, disk.root()).remove(0).1
    };
    disk.put("a", &data);
    let good = status(&disk);
    assert!(good.is_ok());
    let text = good.to_string();
    let expected = format!("matches the published prefix {}", &sum(&data)[..8]);
    assert!(
        text.contains(&expected) && text.contains(&sum(&data)),
        "{text}"
    );

    // As long as it may be, and not it.
    disk.put("a", &bytes(1_003));
    let wrong = Status::WrongSum {
        expected: sum(&data)[..8].into(),
        found: sum(&bytes(1_003)),
    };
    assert_eq!(status(&disk), wrong);
    for length in [996, 1_004] {
        disk.put("a", &bytes(length));
        let wrong = status(&disk);
        assert!(matches!(wrong, Status::WrongSize { .. }) && !wrong.is_ok());
        assert!(
            wrong.to_string().contains("expected 997 to 1003 bytes"),
            "{wrong}"
        );
    }
}

#[test]
fn a_status_reads_as_a_sentence() {
    let text = Status::WrongSize {
        expected: Size::Exact(10),
        found: 7,
    }
    .to_string();
    assert_eq!(text, "wrong size: expected 10 bytes, found 7");
    assert_eq!(Status::Damaged("x".into()).to_string(), "damaged: x");
}
