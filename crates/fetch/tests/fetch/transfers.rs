//! One file over the network.

use std::fs;
use std::io::Write;
use std::time::Duration;

use zoo_fetch::{FetchError, Lines, Quiet, fetch_with};

use crate::server::{Answer, Server};
use crate::{Disk, bytes, gzip, quick, source, sum, vague_source};

#[test]
fn a_good_server_is_asked_once() {
    let (disk, data) = (Disk::new(), bytes(100_000));
    let packed = gzip(&data, 6);
    let (plain, zipped) = (data.clone(), packed.clone());
    let server = Server::new(move |request, _| {
        Answer::ranged(request, if request.path == "a" { &plain } else { &zipped })
    });
    let source = source(&[
        ("a", &[server.url("a")], &data),
        ("sub/b.gz", &[server.url("b")], &data),
    ]);

    let report = disk.fetch(&source).unwrap();
    assert_eq!(report.fetched, ["a", "sub/b.gz"]);
    assert_eq!(report.received_bytes, (data.len() + packed.len()) as u64);
    assert_eq!(disk.read("a"), data);
    assert_eq!(disk.read("sub/b.gz"), packed, "gzip is kept as served");
    assert_eq!(disk.files(), ["a", "sub"]);
    assert_eq!(server.offsets(), [None, None]);

    let again = disk.fetch(&source).unwrap();
    assert_eq!(
        (
            again.present.len(),
            again.fetched.len(),
            again.received_bytes
        ),
        (2, 0, 0)
    );
    assert_eq!(
        server.seen().len(),
        2,
        "what is there is not asked for again"
    );
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    let server = Server::new(move |request, count| match count {
        0 => Answer::ranged(request, &body).cut(3_000),
        1 => Answer::ranged(request, &body).cut(2_000),
        _ => Answer::ranged(request, &body),
    });
    let report = disk
        .fetch(&source(&[("a", &[server.url("a")], &data)]))
        .unwrap();
    assert_eq!(report.received_bytes, 10_000, "nothing came twice");
    let seen: Vec<_> = server
        .seen()
        .iter()
        .map(|request| (request.from, request.sent))
        .collect();
    assert_eq!(
        seen,
        [(None, 3_000), (Some(3_000), 2_000), (Some(5_000), 5_000)]
    );
    assert_eq!(disk.read("a"), data);
    assert_eq!(disk.files(), ["a"]);
}

#[test]
fn what_is_published_in_part_is_checked_and_the_whole_sum_reported() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let mut wrong = data.clone();
    wrong[5_000] ^= 1;
    for body in [wrong, bytes(10_004)] {
        let bad = Server::new(move |request, _| Answer::ranged(request, &body));
        disk.fetch(&vague_source("a", &bad.url("a"), &data, 3))
            .unwrap_err();
        assert_eq!((disk.files(), bad.seen().len()), (vec![], 1));
    }

    // A cut may leave what is long enough and not whole.
    let body = data.clone();
    let server = Server::new(move |request, count| match count {
        0 => Answer::ranged(request, &body).cut(9_998),
        _ => Answer::ranged(request, &body),
    });
    let source = vague_source("a", &server.url("a"), &data, 3);
    let report = disk.fetch(&source).unwrap();
    assert_eq!(server.offsets(), [None, Some(9_998)]);
    assert_eq!(
        (disk.read("a"), report.received_bytes),
        (data.clone(), 10_000)
    );
    let sums = [("a".to_owned(), sum(&data))];
    assert_eq!(report.sums, sums);
    let again = disk.fetch(&source).unwrap();
    assert_eq!((again.present.len(), again.sums), (1, sums.to_vec()));
}

#[test]
fn an_interrupted_fetch_goes_on_in_the_next_run() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let packed = gzip(&data, 6);
    disk.put("a.gz.part", &packed[..4_000]);
    let body = packed.clone();
    let server = Server::new(move |request, _| Answer::ranged(request, &body));
    disk.fetch(&source(&[("a.gz", &[server.url("a")], &data)]))
        .unwrap();
    assert_eq!(server.offsets(), [Some(4_000)]);
    assert_eq!(server.seen()[0].sent, packed.len() - 4_000);
    assert_eq!(disk.read("a.gz"), packed);
}

#[test]
fn a_server_that_cuts_for_ever_is_left_and_its_part_kept() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    let server = Server::new(move |request, _| Answer::ranged(request, &body).cut(100));
    let error = disk
        .fetch(&source(&[("a", &[server.url("a")], &data)]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cut after 400 bytes"), "{error}");
    assert_eq!(
        server.offsets(),
        [None, Some(100), Some(200), Some(300)],
        "one attempt and three retries"
    );
    assert_eq!(disk.read("a.part"), data[..400]);
    assert_eq!(disk.files(), ["a.part"]);
}

#[test]
fn a_server_without_ranges_is_taken_from_the_start() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    let server = Server::new(move |_, count| match count {
        0 => Answer::whole(&body).cut(3_000),
        _ => Answer::whole(&body),
    });
    disk.fetch(&source(&[("a", &[server.url("a")], &data)]))
        .unwrap();
    assert_eq!(server.offsets(), [None, Some(3_000)]);
    assert_eq!(
        disk.read("a"),
        data,
        "the whole answer is not appended to the part"
    );
}

#[test]
fn a_refused_or_mistaken_range_starts_over() {
    for mistaken in [false, true] {
        let (disk, data) = (Disk::new(), bytes(10_000));
        let body = data.clone();
        disk.put("a.part", &data[..3_000]);
        let server = Server::new(move |request, _| match request.from {
            None => Answer::whole(&body),
            Some(_) if mistaken => Answer::part(&body[2_000..], 2_000, body.len()),
            Some(_) => Answer::status(416),
        });
        disk.fetch(&source(&[("a", &[server.url("a")], &data)]))
            .unwrap();
        assert_eq!(server.offsets(), [Some(3_000), None]);
        assert_eq!(disk.read("a"), data);
        assert_eq!(disk.files(), ["a"]);
    }
}

#[test]
fn a_stall_is_ended_and_resumed() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    let server = Server::new(move |request, count| match count {
        0 => Answer::ranged(request, &body).cut(3_000).stalling(),
        _ => Answer::ranged(request, &body),
    });
    let mut options = quick();
    options.stall_timeout = Duration::from_secs(1);
    let source = source(&[("a", &[server.url("a")], &data)]);
    fetch_with(&source, disk.root(), &mut Quiet, &options).unwrap();
    assert_eq!(server.offsets()[..2], [None, Some(3_000)]);
    assert_eq!(disk.read("a"), data);
}

#[test]
fn a_silent_server_is_left_for_the_next_mirror() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    // Without a head, even: it accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/a", silent.local_addr().unwrap());
    let good = Server::new(move |request, _| Answer::ranged(request, &body));
    let mut options = quick();
    options.stall_timeout = Duration::from_millis(200);
    options.retries = 0;
    let only_silent = source(&[("a", std::slice::from_ref(&silent_url), &data)]);
    let error = fetch_with(&only_silent, disk.root(), &mut Quiet, &options).unwrap_err();
    assert!(error.to_string().contains("timeout"), "{error}");
    assert_eq!(disk.files(), [""; 0]);

    options.stall_timeout = Duration::from_secs(2);
    let both = source(&[("a", &[silent_url, good.url("a")], &data)]);
    fetch_with(&both, disk.root(), &mut Quiet, &options).unwrap();
    assert_eq!(disk.read("a"), data);
}

#[test]
fn a_lie_about_the_length_of_a_plain_file_is_caught_before_reading() {
    for declared in [20_000, 5_000] {
        let (disk, data) = (Disk::new(), bytes(10_000));
        let body = data.clone();
        let liar = Server::new(move |_, _| Answer::whole(&body).declaring(Some(declared)));
        let error = disk
            .fetch(&source(&[("a", &[liar.url("a")], &data)]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!(
                "expected 10000 bytes, the server declares {declared}"
            )),
            "{error}"
        );
        assert_eq!(liar.offsets(), [None]);
        assert_eq!(disk.files(), [""; 0]);
    }
}

#[test]
fn a_lie_about_the_length_of_gzip_is_survived() {
    let data = bytes(10_000);
    let packed = gzip(&data, 6);
    // Too long: the connection ends early, yet what came is whole.
    let (disk, body) = (Disk::new(), packed.clone());
    let long = Server::new(move |_, _| Answer::whole(&body).declaring(Some(body.len() + 999)));
    disk.fetch(&source(&[("a.gz", &[long.url("a")], &data)]))
        .unwrap();
    assert_eq!((disk.read("a.gz"), long.seen().len()), (packed.clone(), 1));

    // Too short: what came ends early, so the rest is asked for.
    let (disk, body) = (Disk::new(), packed.clone());
    let short = Server::new(move |request, count| match count {
        0 => Answer::whole(&body).declaring(Some(4_000)),
        _ => Answer::ranged(request, &body),
    });
    disk.fetch(&source(&[("a.gz", &[short.url("a")], &data)]))
        .unwrap();
    assert_eq!(
        (disk.read("a.gz"), short.offsets()),
        (packed, vec![None, Some(4_000)])
    );
}

#[test]
fn a_server_that_sends_too_much_is_stopped() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let endless = Server::new(|_, _| Answer::whole(&bytes(5_000_000)).declaring(None));
    for path in ["a", "b.gz"] {
        let error = disk
            .fetch(&source(&[(path, &[endless.url(path)], &data)]))
            .unwrap_err();
        assert!(error.to_string().contains("sent more than"), "{error}");
        assert_eq!(disk.files(), [""; 0]);
    }
}

#[test]
fn a_gzip_bomb_is_stopped_and_removed() {
    let (disk, data) = (Disk::new(), bytes(1_000));
    // 60 MB that travel as 60 kB.
    let bomb = gzip(&vec![0; 60_000_000], 6);
    let server = Server::new(move |request, _| Answer::ranged(request, &bomb));
    let error = disk
        .fetch(&source(&[("a.gz", &[server.url("a")], &data)]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected 1000 bytes, found more"), "{error}");
    assert_eq!(server.seen().len(), 1);
    assert_eq!(disk.files(), [""; 0]);
}

#[test]
fn wrong_bytes_are_thrown_away_and_the_next_mirror_asked() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let (mut wrong, body) = (data.clone(), data.clone());
    wrong[5_000] ^= 1;
    let bad = Server::new(move |request, _| Answer::ranged(request, &wrong));
    let good = Server::new(move |request, _| Answer::ranged(request, &body));

    let error = disk
        .fetch(&source(&[("a", &[bad.url("a")], &data)]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("wrong sum"), "{error}");
    assert_eq!(disk.files(), [""; 0]);

    let report = disk
        .fetch(&source(&[("a", &[bad.url("a"), good.url("a")], &data)]))
        .unwrap();
    assert_eq!(report.received_bytes, 20_000, "what was thrown away counts");
    assert_eq!(
        good.offsets(),
        [None],
        "nothing of the bad mirror is built upon"
    );
    assert_eq!(
        bad.seen().len(),
        2,
        "wrong bytes are not asked for twice in a run"
    );
    assert_eq!(disk.read("a"), data);
}

#[test]
fn a_beginning_from_elsewhere_does_not_condemn_the_mirror() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    disk.put("a.part", &[7; 3_000]);
    let server = Server::new(move |request, _| Answer::ranged(request, &body));
    disk.fetch(&source(&[("a", &[server.url("a")], &data)]))
        .unwrap();
    assert_eq!(server.offsets(), [Some(3_000), None]);
    assert_eq!(disk.read("a"), data);
}

#[test]
fn a_missing_file_is_asked_for_once_and_a_busy_server_again() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    let gone = Server::new(|_, _| Answer::status(404));
    let broken = Server::new(|_, _| Answer::status(500));
    let busy = Server::new(move |request, count| match count {
        0 => Answer::status(503),
        _ => Answer::ranged(request, &body),
    });
    let urls = [gone.url("a"), broken.url("a"), busy.url("a")];
    disk.fetch(&source(&[("a", &urls, &data)])).unwrap();
    assert_eq!(
        [gone.seen().len(), broken.seen().len(), busy.seen().len()],
        [1, 4, 2]
    );
    assert_eq!(disk.read("a"), data);
}

#[test]
fn a_redirect_is_followed_with_its_range_and_a_circle_ends() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    disk.put("a.part", &data[..3_000]);
    let server = Server::new(move |request, _| match request.path.as_str() {
        "old" => Answer::status(302).header("Location: /new".into()),
        "circle" => Answer::status(302).header("Location: /circle".into()),
        _ => Answer::ranged(request, &body),
    });
    disk.fetch(&source(&[("a", &[server.url("old")], &data)]))
        .unwrap();
    assert_eq!(server.offsets(), [Some(3_000), Some(3_000)]);
    assert_eq!(disk.read("a"), data);

    let error = disk
        .fetch(&source(&[("b", &[server.url("circle")], &data)]))
        .unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
}

/// From here to plain http of another machine, and to what is no web address at all.
#[test]
fn a_redirect_to_what_is_not_https_is_refused() {
    let (disk, data) = (Disk::new(), bytes(100));
    // By an address that is this machine's, but is not known to be.
    let elsewhere = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let address = elsewhere.local_addr().unwrap();
    let body = data.clone();
    std::thread::spawn(move || {
        for stream in elsewhere.incoming().take(3) {
            let mut stream = stream.unwrap();
            let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    let places = [
        format!("http://{address}/a"),
        "ftp://127.0.0.1/a".into(),
        "file:///etc/hostname".into(),
    ];
    for place in places {
        let location = format!("Location: {place}");
        let server = Server::new(move |_, _| Answer::status(302).header(location.clone()));
        let error = disk.fetch(&source(&[("a", &[server.url("a")], &data)]));
        let error = error.unwrap_err().to_string();
        let is_named = error.contains(&place);
        assert!(is_named || !place.starts_with("http"), "{place}: {error}");
        assert!(!disk.path("a").exists(), "{place}");
    }
}

#[test]
fn a_complete_part_needs_only_its_name() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    disk.put("a.gz.part", &gzip(&data, 6));
    let server = Server::new(|_, _| Answer::status(500));
    let report = disk
        .fetch(&source(&[("a.gz", &[server.url("a")], &data)]))
        .unwrap();
    assert_eq!((report.fetched.len(), report.received_bytes), (1, 0));
    assert_eq!(server.seen(), []);
    assert_eq!(disk.files(), ["a.gz"]);
}

#[test]
fn a_wrong_file_is_replaced_only_by_the_right_one() {
    let (disk, data) = (Disk::new(), bytes(10_000));
    let body = data.clone();
    disk.put("a", b"old");
    let server = Server::new(move |request, _| Answer::ranged(request, &body).cut(6_000));
    let source = source(&[("a", &[server.url("a")], &data)]);
    let mut options = quick();
    options.retries = 0;
    fetch_with(&source, disk.root(), &mut Quiet, &options).unwrap_err();
    assert_eq!(disk.read("a"), b"old");
    fetch_with(&source, disk.root(), &mut Quiet, &options).unwrap();
    assert_eq!(disk.read("a"), data);
    assert_eq!(disk.files(), ["a"]);
}

#[test]
fn only_one_process_fetches_into_a_folder() {
    let (disk, data) = (Disk::new(), bytes(10));
    disk.put(".lock", b"");
    let held = fs::File::open(disk.path(".lock")).unwrap();
    held.lock().unwrap();
    let server = Server::new(|_, _| Answer::status(500));
    let source = source(&[("a", &[server.url("a")], &data)]);
    let error = disk.fetch(&source).unwrap_err();
    assert!(matches!(error, FetchError::Busy(_)), "{error}");
    assert_eq!(server.seen(), []);
}

#[test]
fn lines_say_what_happens() {
    let (disk, data) = (Disk::new(), bytes(1_000_000));
    let body = data.clone();
    let server = Server::new(move |request, count| match count {
        0 => Answer::status(503),
        _ => Answer::ranged(request, &body),
    });
    let mut out = Vec::new();
    let source = source(&[("a", &[server.url("a")], &data)]);
    fetch_with(&source, disk.root(), &mut Lines::new(&mut out), &quick()).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("a: answered 503; trying again\nfetching a (1000000 bytes)\n"),
        "{out}"
    );
    assert!(out.ends_with("a: 100 %\na: done\n"), "{out}");
    assert!(out.lines().count() <= 13, "one line a tenth at most: {out}");
}
