//! Reading everything once before a training: what cannot be read is found before it costs anything,
//! and the sums tell a resumed run that its data is what it was.
//!
//! Files that were read before need not be read again. They are told by what the system says of
//! each: place, size, and the times of its last change, of which the one that no program can set
//! (`ctime`) is the one that counts. A file that was changed in the last seconds is not remembered,
//! since a second change within the clock's grain would go unnoticed; nor is anything on systems
//! that have no such time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use zoo_train::{Source, Stamp, hexadecimal};

use super::Data;
use crate::error::Error;

/// Examples between two reports of progress.
const CHUNK: usize = 1024;
/// The coarsest clock of a file system: two seconds, of FAT; and some room.
const CLOCK_GRAIN: Duration = Duration::from_secs(4);
/// Counted up where more is checked than before, so that what passed then is read again.
#[cfg(unix)]
const CHECKS: u32 = 3;
/// Sums that are remembered, the newest ones.
const MOST_REMEMBERED: usize = 256;
/// Where they are, below the user's cache folder.
const CACHE_FILE: &str = "burn-zoo/data-sums.json";

impl Data {
    /// The sha256 of every split's contents, all of which are read, unless that was done before.
    /// `progress` hears how many examples of how many are done.
    ///
    /// # Errors
    /// An example that cannot be read.
    pub fn sha256(
        &self,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<BTreeMap<String, String>, Error> {
        let cache = dirs::cache_dir().map(|folder| folder.join(CACHE_FILE));
        self.sums(cache.as_deref(), progress)
    }

    /// What the system says of each split's files; nothing where it says too little.
    pub fn stamps(&self) -> Vec<Option<String>> {
        let splits = [Some(&self.train), self.valid.as_ref(), self.test.as_ref()];
        let stamps = splits.into_iter().flatten().map(|source| source.stamp());
        stamps.map(|stamp| Some(stamp?.key)).collect()
    }

    fn sums(
        &self,
        cache: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<BTreeMap<String, String>, Error> {
        let splits = [
            ("train", Some(&self.train)),
            ("valid", self.valid.as_ref()),
            ("test", self.test.as_ref()),
        ];
        let splits = splits
            .into_iter()
            .filter_map(|(split, source)| Some((split, source?)));
        let total = splits.clone().map(|(_, source)| source.len()).sum();
        let mut known = Known::read(cache);
        let mut done = 0;
        let mut sums = BTreeMap::new();
        for (split, source) in splits {
            let mut advance = |examples| progress(done + examples, total);
            let sum = known.sum(&**source, &mut advance).map_err(|error| {
                Error::Request(format!("reading the {split} split failed: {error}"))
            })?;
            done += source.len();
            sums.insert(split.to_owned(), sum);
        }
        known.write();
        Ok(sums)
    }
}

/// Largest file of sums that is read: a hundred bytes for each of [`MOST_REMEMBERED`], many times over.
const MOST_BYTES: u64 = 1 << 24;

/// Sums by stamp, the newest last.
struct Known {
    file: Option<PathBuf>,
    sums: Vec<(String, String)>,
    is_changed: bool,
}

impl Known {
    /// A file that cannot be read, or is damaged, is one that is not there.
    fn read(file: Option<&Path>) -> Self {
        let text = file.and_then(|file| zoo_files::read(file, MOST_BYTES).ok());
        let sums = text.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            file: file.map(Path::to_owned),
            sums: sums.unwrap_or_default(),
            is_changed: false,
        }
    }

    fn sum(
        &mut self,
        source: &dyn Source,
        advance: &mut dyn FnMut(usize),
    ) -> Result<String, zoo_train::SourceError> {
        let began = SystemTime::now();
        let before = source.stamp();
        let known = before.as_ref().and_then(|stamp| {
            let known = self.sums.iter().find(|(key, _)| *key == stamp.key);
            known.map(|(_, sum)| sum.clone())
        });
        if let Some(sum) = known {
            advance(source.len());
            return Ok(sum);
        }
        let mut hasher = Sha256::new();
        for start in (0..source.len()).step_by(CHUNK) {
            let end = source.len().min(start + CHUNK);
            source.digest(start..end, &mut |bytes| hasher.update(bytes))?;
            advance(end);
        }
        let sum = hexadecimal(hasher.finalize());
        if let Some(stamp) = before
            // Its time may be the last one that there is.
            && stamp.newest.checked_add(CLOCK_GRAIN).is_some_and(|known| known < began)
            && source.stamp().is_some_and(|after| after.key == stamp.key)
        {
            self.sums.push((stamp.key, sum.clone()));
            self.is_changed = true;
        }
        Ok(sum)
    }

    /// Where it cannot be written, the files are read again next time.
    fn write(mut self) {
        let Some(file) = self.file.filter(|_| self.is_changed) else {
            return;
        };
        let excess = self.sums.len().saturating_sub(MOST_REMEMBERED);
        self.sums.drain(..excess);
        if let (Some(folder), Ok(text)) = (file.parent(), serde_json::to_vec(&self.sums))
            && zoo_files::Folder::make(folder).is_ok()
        {
            let _ = zoo_files::write(&file, &text);
        }
    }
}

/// What the system says of these files, in order, with what else decides what is read of them.
/// `None` where it says too little to tell that a file was changed.
#[cfg(unix)]
pub fn stamp(
    files: impl Iterator<Item = (PathBuf, usize)>,
    options: &impl std::fmt::Debug,
) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let mut hasher = Sha256::new();
    let version = env!("CARGO_PKG_VERSION");
    hasher.update(format!("{version} {CHECKS} {options:?}\n"));
    let mut newest = 0;
    for (path, label) in files {
        let file = fs::metadata(&path).ok()?;
        let facts = [
            file.dev() as i64,
            file.ino() as i64,
            file.size() as i64,
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec(),
            label as i64,
        ];
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update([0]);
        facts
            .iter()
            .for_each(|fact| hasher.update(fact.to_le_bytes()));
        newest = newest.max(file.mtime()).max(file.ctime());
    }
    let newest = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(newest as u64))?;
    Some(Stamp {
        key: hexadecimal(hasher.finalize()),
        newest,
    })
}

#[cfg(not(unix))]
pub fn stamp(_: impl Iterator<Item = (PathBuf, usize)>, _: &impl std::fmt::Debug) -> Option<Stamp> {
    None
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ops::Range;
    use std::sync::Mutex;

    use zoo_train::{Batch, Pass, SourceError};

    use super::*;

    /// Examples that count how often they are read.
    struct Counted {
        stamp: Mutex<Stamp>,
        changes_meanwhile: bool,
        reads: Mutex<usize>,
    }

    impl Counted {
        fn new(key: &str, age: Duration) -> Self {
            let newest = SystemTime::now() - age;
            Self {
                stamp: Mutex::new(Stamp {
                    key: key.into(),
                    newest,
                }),
                changes_meanwhile: false,
                reads: Mutex::new(0),
            }
        }

        fn reads(&self) -> usize {
            *self.reads.lock().unwrap()
        }
    }

    impl Source for Counted {
        fn len(&self) -> usize {
            2000
        }

        fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
            Err("is never asked for".into())
        }

        fn digest(
            &self,
            examples: Range<usize>,
            add: &mut dyn FnMut(&[u8]),
        ) -> Result<(), SourceError> {
            *self.reads.lock().unwrap() += examples.len();
            if self.changes_meanwhile {
                self.stamp.lock().unwrap().key.push('x');
            }
            examples.for_each(|example| add(&example.to_le_bytes()));
            Ok(())
        }

        fn stamp(&self) -> Option<Stamp> {
            Some(self.stamp.lock().unwrap().clone())
        }
    }

    /// Sums a source as a new process would.
    fn sum(file: &Path, source: &Counted) -> String {
        let mut known = Known::read(Some(file));
        let heard = Cell::new(0);
        let sum = known.sum(source, &mut |done| heard.set(done)).unwrap();
        known.write();
        assert_eq!(heard.get(), 2000, "the progress ends with the last example");
        sum
    }

    const OLD: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_read_before_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache/sums.json");
        let source = Counted::new("a", OLD);
        let first = sum(&file, &source);
        assert_eq!(source.reads(), 2000);
        assert_eq!(sum(&file, &source), first);
        assert_eq!(source.reads(), 2000, "told by its stamp");
        let other = Counted::new("b", OLD);
        assert_eq!(sum(&file, &other), first);
        assert_eq!(other.reads(), 2000, "another stamp is read");
        fs::write(&file, "damaged").unwrap();
        assert_eq!(sum(&file, &source), first);
        assert_eq!(source.reads(), 4000);
    }

    #[test]
    fn what_changed_lately_or_meanwhile_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sums.json");
        let fresh = Counted::new("a", Duration::from_secs(1));
        let future = Counted {
            stamp: Mutex::new(Stamp {
                key: "b".into(),
                newest: SystemTime::now() + OLD,
            }),
            ..Counted::new("b", OLD)
        };
        let changing = Counted {
            changes_meanwhile: true,
            ..Counted::new("c", OLD)
        };
        for source in [fresh, future, changing] {
            sum(&file, &source);
            sum(&file, &source);
            assert_eq!(source.reads(), 4000);
        }
        assert!(!file.exists(), "there was nothing to write");
    }

    #[cfg(unix)]
    #[test]
    fn a_stamp_notices_a_file_of_the_same_size_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.png");
        let of = |label: usize| {
            stamp([(path.clone(), label)].into_iter(), &"options")
                .unwrap()
                .key
        };
        fs::write(&path, "one").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let first = of(0);
        assert_eq!(of(0), first);
        assert_ne!(of(1), first, "another class");
        let put = |text: &str| {
            // Past the grain of the clock.
            std::thread::sleep(Duration::from_millis(30));
            fs::write(&path, text).unwrap();
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        put("two");
        let second = of(0);
        assert_ne!(
            second, first,
            "only the time that programs cannot set is another"
        );
        // A copy that keeps its time, in the place of the file.
        let copy = folder.path().join("copy");
        fs::write(&copy, "six").unwrap();
        fs::File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(&copy, &path).unwrap();
        assert_ne!(of(0), second);
        fs::remove_file(&path).unwrap();
        assert!(stamp([(path.clone(), 0)].into_iter(), &"options").is_none());
    }
}
