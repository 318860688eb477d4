//! Brings everything a source names into its folder.

use std::fs::{self, TryLockError};
use std::io;
use std::path::Path;

use zoo_files::Folder;

use crate::archive::unpack;
use crate::check::{Finding, Status, examine, verify_piece};
use crate::client::{Client, Options};
use crate::download::{Job, download};
use crate::error::{FetchError, Wanted, disk};
use crate::part::Part;
use crate::progress::Progress;
use crate::source::{Archive, File, Piece, Size, Source};

/// What a fetch did. Paths are those of the source, below its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were there and right.
    pub present: Vec<String>,
    /// Files that took their place now.
    pub fetched: Vec<String>,
    /// Bytes that came over the network, those thrown away included.
    pub received_bytes: u64,
    /// Path and whole SHA-256 of the files, present or fetched, of which the source knows only how
    /// the sum begins: a person may know more.
    pub sums: Vec<(String, String)>,
}

/// [`fetch_with`] the default [`Options`].
///
/// # Errors
/// As [`fetch_with`].
pub fn fetch(
    source: &Source,
    data_dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Report, FetchError> {
    fetch_with(source, data_dir, progress, &Options::default())
}

/// Brings every file of `source` below `data_dir`. A file that is there and right stays; one that
/// is there and wrong is replaced once the right one is complete.
///
/// # Errors
/// [`FetchError::Unavailable`] where no mirror gives a file, [`FetchError::Disk`] where the disk is
/// full or not writable, [`FetchError::Busy`] where another process is at it. What is complete by
/// then stays, and fetching again goes on from there.
pub fn fetch_with(
    source: &Source,
    data_dir: &Path,
    progress: &mut dyn Progress,
    options: &Options,
) -> Result<Report, FetchError> {
    let folder = source.folder(data_dir);
    let mut report = Report::default();
    let mut missing = Vec::new();
    for piece in source.pieces() {
        let status = verify_piece(&piece, &folder).1;
        if status.is_ok() {
            report.present.push(piece.path.into());
            report.keep_sum(&piece, status);
        } else {
            missing.push(piece.path);
        }
    }
    if missing.is_empty() {
        return Ok(report);
    }
    let opened = Folder::make(data_dir).and_then(|data| data.make_inner(&source.name));
    let opened = opened.map_err(disk("create", &folder))?;
    let _held = lock(&opened)?;
    let mut fetch = Fetch {
        client: Client::new(options),
        options,
        progress,
        report,
        folder: &opened,
        causes: Vec::new(),
    };

    for file in source
        .files
        .iter()
        .filter(|file| missing.contains(&file.path.as_str()))
    {
        if !fetch.file(file)? {
            break;
        }
    }
    for archive in &source.archives {
        let needed = archive
            .members
            .iter()
            .any(|member| missing.contains(&member.path.as_str()));
        if needed && fetch.causes.is_empty() {
            fetch.archive(archive)?;
        }
    }
    if fetch.causes.is_empty() {
        return Ok(fetch.report);
    }
    let done = &fetch.report.fetched;
    missing.retain(|path| !done.iter().any(|done| done == path));
    Err(FetchError::Unavailable {
        name: source.name.clone(),
        folder: folder.clone(),
        wanted: wanted(source, &missing),
        causes: fetch.causes,
    })
}

impl Report {
    fn keep_sum(&mut self, piece: &Piece<'_>, status: Status) {
        if let Status::OkSoFar { sha256, .. } = status {
            self.sums.push((piece.path.into(), sha256));
        }
    }
}

struct Fetch<'a> {
    client: Client,
    options: &'a Options,
    progress: &'a mut dyn Progress,
    report: Report,
    folder: &'a Folder,
    /// What mirrors answered where all of them failed.
    causes: Vec<String>,
}

impl Fetch<'_> {
    /// Whether `file` is in its place now.
    fn file(&mut self, file: &File) -> Result<bool, FetchError> {
        let piece = file.piece();
        let gzip = piece.plain_path().is_some();
        let part = Part::new(self.folder, &file.path)?;
        let job = Job {
            name: &file.path,
            urls: &file.urls,
            part: &part,
            served: (!gzip).then_some(piece.size),
            limit_bytes: if gzip {
                gzip_limit(piece.size.most())
            } else {
                piece.size.most()
            },
        };
        let mut status = Status::Missing;
        let arrived = self.run(&job, &mut |path| {
            let finding = examine(path, gzip, &piece);
            if let Finding::Good(good) = &finding {
                part.put_in_place()?;
                status = good.clone();
            }
            Ok(finding)
        })?;
        if arrived {
            self.report.fetched.push(file.path.clone());
            self.report.keep_sum(&piece, status);
        }
        Ok(arrived)
    }

    /// Whether the members of `archive` are in their places now.
    fn archive(&mut self, archive: &Archive) -> Result<bool, FetchError> {
        let folder = self.folder;
        let by_hand = folder.path().join(&archive.path);
        let mut arrived = false;
        if by_hand.is_file() {
            match unpack(archive, &by_hand, folder)? {
                Finding::Good(_) => arrived = true,
                other => self
                    .progress
                    .note(&format!("{}: {}", by_hand.display(), other.status())),
            }
        }
        if !arrived {
            let part = Part::new(folder, &archive.path)?;
            let job = Job {
                name: &archive.path,
                urls: &archive.urls,
                part: &part,
                served: Some(Size::Exact(archive.size_bytes)),
                limit_bytes: archive.size_bytes,
            };
            arrived = self.run(&job, &mut |path| {
                let finding = unpack(archive, path, folder)?;
                if matches!(finding, Finding::Good(_)) {
                    part.remove()?;
                }
                Ok(finding)
            })?;
        }
        if arrived {
            let present = &mut self.report.present;
            present.retain(|path| !archive.members.iter().any(|member| &member.path == path));
            self.report
                .fetched
                .extend(archive.members.iter().map(|member| member.path.clone()));
        }
        Ok(arrived)
    }

    fn run(
        &mut self,
        job: &Job<'_>,
        judge: &mut dyn FnMut(&Path) -> Result<Finding, FetchError>,
    ) -> Result<bool, FetchError> {
        let result = download(job, &self.client, self.options, self.progress, judge);
        match result? {
            Ok(received) => {
                self.report.received_bytes += received;
                self.progress.finish(job.name);
                Ok(true)
            }
            Err(causes) => {
                self.causes.extend(causes);
                Ok(false)
            }
        }
    }
}

/// The most that gzip makes of `size_bytes` that it cannot compress, with room for poor blocks.
fn gzip_limit(size_bytes: u64) -> u64 {
    size_bytes + size_bytes / 64 + (64 << 10)
}

/// Two processes that append to one part would spoil it after its check, so one waits outside.
fn lock(folder: &Folder) -> Result<fs::File, FetchError> {
    let path = folder.path().join(".lock");
    let file = folder.lock(".lock").map_err(disk("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FetchError::Busy(folder.path().into())),
        // A file system without locks: better to fetch than to refuse.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(disk("lock", &path)(error)),
    }
}

fn wanted(source: &Source, missing: &[&str]) -> Vec<Wanted> {
    let served = source.files.iter().map(|file| (file.piece(), &file.urls));
    let packed = source.archives.iter().flat_map(|archive| {
        archive
            .members
            .iter()
            .map(|member| (member.piece(), &archive.urls))
    });
    served
        .chain(packed)
        .filter(|(piece, _)| missing.contains(&piece.path))
        .map(|(piece, urls)| Wanted {
            path: piece.path.into(),
            sha256: if piece.is_prefix() {
                format!("{}…", piece.sha256)
            } else {
                piece.sha256.into()
            },
            size: piece.size,
            urls: urls.clone(),
        })
        .collect()
}
