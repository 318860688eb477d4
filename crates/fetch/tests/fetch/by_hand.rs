//! Without a network, and without a disk that plays along.

use std::net::TcpListener;

use zoo_fetch::FetchError;

use crate::{Disk, bytes, gzip, source, sum, vague_source};

/// An address where nobody listens.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    format!("http://127.0.0.1:{port}/x")
}

#[test]
fn offline_the_error_says_what_to_put_where() {
    let disk = Disk::new();
    let data = [bytes(10), bytes(20), bytes(30)];
    disk.put("there", &data[0]);
    let urls = [nobody(), nobody()];
    let source = source(&[
        ("there", &urls, &data[0]),
        ("train.gz", &urls, &data[1]),
        ("test.txt", &urls, &data[2]),
    ]);
    let error = disk.fetch(&source).unwrap_err();
    let text = error.to_string();
    for part in [
        format!(
            "put these files in {}",
            disk.root().join("digits").display()
        ),
        format!("train.gz (20 bytes decompressed, sha256 {})", sum(&data[1])),
        format!("test.txt (30 bytes, sha256 {})", sum(&data[2])),
        format!("{}: ", urls[0]),
        format!("{}: ", urls[1]),
    ] {
        assert!(text.contains(&part), "expected `{part}` in:\n{text}");
    }
    assert!(
        !text.contains("there ("),
        "what is there is not asked for:\n{text}"
    );
    let FetchError::Unavailable { wanted, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(wanted.len(), 2);
    assert_eq!(disk.files(), ["there"]);

    // Done as told, with one of them decompressed by the browser.
    disk.put("train", &data[1]);
    disk.put("test.txt", &data[2]);
    assert_eq!(disk.fetch(&source).unwrap().present.len(), 3);
}

#[test]
fn offline_the_error_says_no_more_of_a_sum_than_is_published() {
    let (disk, data) = (Disk::new(), bytes(20));
    let error = disk
        .fetch(&vague_source("a.pth", &nobody(), &data, 1))
        .unwrap_err()
        .to_string();
    let wanted = format!("a.pth (19 to 21 bytes, sha256 {}…)", &sum(&data)[..8]);
    assert!(error.contains(&wanted), "expected `{wanted}` in:\n{error}");
}

#[test]
fn a_file_compressed_anew_is_as_good() {
    let (disk, data) = (Disk::new(), vec![5; 10_000]);
    assert_ne!(gzip(&data, 1), gzip(&data, 9));
    for level in [1, 9] {
        disk.put("a.gz", &gzip(&data, level));
        let report = disk
            .fetch(&source(&[("a.gz", &[nobody()], &data)]))
            .unwrap();
        assert_eq!(report.present, ["a.gz"]);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (disk, data) = (Disk::new(), bytes(10));
    std::fs::write(
        disk.root().join("digits"),
        b"a file where the folder should be",
    )
    .unwrap();
    let error = disk
        .fetch(&source(&[("a", &[nobody()], &data)]))
        .unwrap_err();
    assert!(
        matches!(
            error,
            FetchError::Disk {
                doing: "create",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("digits"), "{error}");
}

/// A disk with little room is a process that may write no larger files: this test alone, once more.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_called_full() {
    use crate::server::{Answer, Server};
    const INSIDE: &str = "FETCH_TEST_FULL_DISK";
    if std::env::var_os(INSIDE).is_none() {
        let name = "by_hand::a_full_disk_is_called_full";
        let script = format!("trap '' XFSZ; ulimit -f 20; exec \"$0\" --exact {name} --nocapture");
        let mut shell = std::process::Command::new("sh");
        let program = std::env::current_exe().unwrap();
        let output = shell
            .args(["-c", &script])
            .arg(program)
            .env(INSIDE, "1")
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let (disk, data) = (Disk::new(), bytes(100_000));
    let body = data.clone();
    let server = Server::new(move |request, _| Answer::ranged(request, &body));
    let error = disk
        .fetch(&source(&[("a", &[server.url("a")], &data)]))
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Disk { doing: "write", .. }),
        "{error}"
    );
    assert!(error.to_string().contains("free some space"), "{error}");
}
