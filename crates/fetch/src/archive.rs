//! Unpacks the named members of a `.tar.gz`, and nothing else.
//!
//! Files are written only where the source says; a name in the archive is compared, never used as
//! a path. An archive with a name that would leave its folder is refused all the same: nobody
//! honest packs one.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use flate2::bufread::MultiGzDecoder;
use zoo_files::Folder;

use crate::check::{Finding, Status, copy_checked, size_finding};
use crate::error::{FetchError, disk};
use crate::part::Part;
use crate::source::{Archive, Member, Size};

/// Room for members that the source does not name, on top of as much as those it names.
const OTHER_MEMBERS_BYTES: u64 = 16 << 20;

/// Unpacks `archive` from `tarball` into `folder`. No member takes its place before all are right.
///
/// # Errors
/// Of the disk. What is wrong with the archive is in the [`Finding`].
pub(crate) fn unpack(
    archive: &Archive,
    tarball: &Path,
    folder: &Folder,
) -> Result<Finding, FetchError> {
    let file = fs::File::open(tarball).map_err(disk("read", tarball))?;
    let found = file.metadata().map_err(disk("read", tarball))?.len();
    if found != archive.size_bytes {
        return Ok(size_finding(Size::Exact(archive.size_bytes), found));
    }
    let mut parts = Vec::new();
    let problem = extract(archive, file, folder, &mut parts)?;
    // Not kept open: there may be more of them than a process may hold.
    for path in &parts {
        let part = Part::new(folder, path)?;
        match problem {
            None => part.put_in_place()?,
            Some(_) => part.remove()?,
        }
    }
    Ok(problem.map_or(Finding::Good(Status::Ok), |reason| {
        Finding::Bad(Status::Damaged(reason))
    }))
}

/// Writes every named member to its `.part`. Returns what is wrong with the archive, if anything.
fn extract<'a>(
    archive: &'a Archive,
    file: fs::File,
    folder: &Folder,
    parts: &mut Vec<&'a str>,
) -> Result<Option<String>, FetchError> {
    let named = archive.members.iter().map(|member| member.size_bytes);
    let named = named.fold(0, u64::saturating_add);
    let limit = named.saturating_mul(2).saturating_add(OTHER_MEMBERS_BYTES);
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)).take(limit));
    let mut wanted: Vec<&Member> = archive.members.iter().collect();
    let entries = match tar.entries() {
        Ok(entries) => entries,
        Err(error) => return Ok(Some(error.to_string())),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let name = match entry.path() {
            Ok(name) => name.into_owned(),
            Err(error) => return Ok(Some(error.to_string())),
        };
        if !name
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Ok(Some(format!(
                "member `{}` would leave the folder",
                name.display()
            )));
        }
        let Some(index) = wanted
            .iter()
            .position(|member| same_name(&name, &member.member))
        else {
            continue;
        };
        let member = wanted.swap_remove(index);
        if !entry.header().entry_type().is_file() {
            return Ok(Some(format!(
                "member `{}` is not a plain file",
                member.member
            )));
        }
        let part = Part::new(folder, &member.path)?;
        let mut to = part.create()?;
        parts.push(&member.path);
        let mut to = Remember {
            file: &mut to,
            error: None,
        };
        let result = copy_checked(&mut entry, &mut to, &member.piece());
        if let Some(cause) = to.error {
            return Err(disk("write", part.path())(cause));
        }
        match result.map(Finding::status) {
            Ok(Status::Ok) => {}
            Ok(status) => return Ok(Some(format!("member `{}`: {status}", member.member))),
            Err(error) => return Ok(Some(format!("member `{}`: {error}", member.member))),
        }
        if wanted.is_empty() {
            return Ok(None);
        }
    }
    Ok(wanted
        .first()
        .map(|member| format!("member `{}` is not in it", member.member)))
}

/// `./x/y` is `x/y`.
fn same_name(name: &Path, member: &str) -> bool {
    name.components()
        .filter(|part| *part != Component::CurDir)
        .eq(Path::new(member).components())
}

/// A writer that keeps its error apart, since one of reading means something else.
struct Remember<'a> {
    file: &'a mut fs::File,
    error: Option<io::Error>,
}

impl io::Write for Remember<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
