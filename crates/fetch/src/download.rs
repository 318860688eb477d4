//! Brings one file to its `.part`, through cuts, stalls and wrong mirrors.

use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;

use crate::check::{Finding, Status};
use crate::client::{Answer, Client, Options};
use crate::error::{FetchError, disk};
use crate::part::Part;
use crate::progress::Progress;
use crate::source::Size;

/// What to download.
pub(crate) struct Job<'a> {
    /// For people.
    pub(crate) name: &'a str,
    pub(crate) urls: &'a [String],
    pub(crate) part: &'a Part,
    /// Number of bytes as served, where known. A mirror that declares another is not read.
    pub(crate) served: Option<Size>,
    /// No mirror may send more than this.
    pub(crate) limit_bytes: u64,
}

/// Downloads `job` until `judge` calls its part good. Returns the bytes that came over the network.
///
/// `judge` looks at the part after every transfer: a good one is done (and `judge` may have moved
/// it), a short one is resumed, a bad one is deleted.
///
/// # Errors
/// The outer one is of the disk; the inner one says what each mirror answered.
pub(crate) fn download(
    job: &Job<'_>,
    client: &Client,
    options: &Options,
    progress: &mut dyn Progress,
    judge: &mut dyn FnMut(&Path) -> Result<Finding, FetchError>,
) -> Result<Result<u64, Vec<String>>, FetchError> {
    let mut received = 0;
    if job.part.bytes()? > 0 {
        // From an earlier run; one that was stopped just before the rename is complete, if perhaps not on
        // the disk yet.
        job.part.sync()?;
        match judge(job.part.path())? {
            Finding::Good(_) => return Ok(Ok(received)),
            Finding::Short(_) => {}
            Finding::Bad(_) => job.part.remove()?,
        }
    }
    let mut causes = Vec::new();
    for url in job.urls {
        match from_mirror(job, url, client, options, progress, judge, &mut received)? {
            Ok(()) => return Ok(Ok(received)),
            Err(cause) => {
                let cause = format!("{url}: {cause}");
                progress.note(&cause);
                causes.push(cause);
            }
        }
    }
    Ok(Err(causes))
}

fn from_mirror(
    job: &Job<'_>,
    url: &str,
    client: &Client,
    options: &Options,
    progress: &mut dyn Progress,
    judge: &mut dyn FnMut(&Path) -> Result<Finding, FetchError>,
    received: &mut u64,
) -> Result<Result<(), String>, FetchError> {
    let mut cause = String::new();
    for attempt in 0..=options.retries {
        if attempt > 0 {
            progress.note(&format!("{}: {cause}; trying again", job.name));
            thread::sleep(options.wait(attempt - 1));
        }
        let asked = job.part.bytes()?;
        let (offset, total_bytes, body) = match client.get(url, asked) {
            Answer::Bytes {
                offset,
                total_bytes,
                body,
            } => (offset, total_bytes, body),
            Answer::NoRange(why) => {
                job.part.remove()?;
                cause = why;
                continue;
            }
            Answer::Later(why) => {
                cause = why;
                continue;
            }
            Answer::Never(why) => return Ok(Err(why)),
        };
        if let (Some(expected), Some(declared)) = (job.served, total_bytes)
            && !expected.holds(declared)
        {
            return Ok(Err(format!(
                "expected {expected}, the server declares {declared}"
            )));
        }
        progress.start(job.name, total_bytes.or(job.served.map(Size::most)));
        let cut = append(job, offset, body, progress, received)?;
        let have_bytes = job.part.bytes()?;
        if have_bytes > job.limit_bytes {
            job.part.remove()?;
            return Ok(Err(format!("sent more than {} bytes", job.limit_bytes)));
        }
        match judge(job.part.path())? {
            Finding::Good(_) => return Ok(Ok(())),
            Finding::Short(status) => {
                cause = cut.unwrap_or_else(|| format!("what was sent is {status}"))
            }
            // Where the size is not known to the byte, what was cut may be long enough and not whole.
            Finding::Bad(Status::WrongSum { .. })
                if cut.is_some() && have_bytes < job.limit_bytes =>
            {
                cause = cut.unwrap_or_default();
            }
            Finding::Bad(status) => {
                job.part.remove()?;
                cause = format!("what was sent is {status}");
                if offset == 0 {
                    return Ok(Err(cause));
                }
                // The beginning may have been at fault, so this mirror gets a chance from the start.
            }
        }
    }
    Ok(Err(cause))
}

/// Writes `body` to the part from `offset` on. Returns why the transfer was cut, if it was.
fn append(
    job: &Job<'_>,
    offset: u64,
    mut body: Box<dyn Read>,
    progress: &mut dyn Progress,
    received: &mut u64,
) -> Result<Option<String>, FetchError> {
    let write = |error| disk("write", job.part.path())(error);
    let mut file = match offset {
        0 => job.part.create()?,
        _ => job.part.append()?,
    };
    let mut at = offset;
    let mut buffer = vec![0; 1 << 16];
    let cut = loop {
        progress.advance(at);
        match body.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => {
                file.write_all(&buffer[..count]).map_err(write)?;
                at += count as u64;
                *received += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(format!("cut after {at} bytes ({error})")),
        }
        if at > job.limit_bytes {
            break None;
        }
    };
    file.sync_all().map_err(write)?;
    Ok(cut)
}
