//! Folders of flags: decides what a sound folder is and says everything that is wrong with one; it
//! refuses to know what becomes of the files.
//!
//! The build script includes this file too, so that what is embedded passed the very checks that
//! [`Catalogue::load`](crate::Catalogue::load) makes.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::code::CountryCode;

/// The largest image or metadata file that is read, in bytes: all of them are kept in memory.
const MAX_FILE: u64 = 16 << 20;

/// The files of one flag, read and checked.
pub(crate) struct Entry {
    pub(crate) code: CountryCode,
    /// The country's name, from the metadata.
    pub(crate) country: String,
    pub(crate) image: Vec<u8>,
    pub(crate) metadata: Vec<u8>,
    /// When the image was written.
    pub(crate) last_modified: SystemTime,
}

/// Everything that is wrong with a folder of flags.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoadError {
    folder: PathBuf,
    problems: Vec<Problem>,
}

impl LoadError {
    /// The folder that was to be loaded.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong with it, at least one thing, in the order of the paths.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the flags in {} cannot be used", self.folder.display())?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for LoadError {}

/// One thing that is wrong with a folder of flags. Its text names the path and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is nothing at the path.
    #[error("{}: there is no such {what}; {remedy}", path.display())]
    Missing {
        /// Where it was expected.
        path: PathBuf,
        /// `folder` or `file`.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The operating system refused to read what is there.
    #[error("{}: cannot be read ({source}); check the permissions and the links", path.display())]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What is there is not a folder.
    #[error("{}: is not a folder; name the folder that holds the folders ad to zw", path.display())]
    NotAFolder {
        /// What was to be a folder.
        path: PathBuf,
    },
    /// What is there is not a plain file.
    #[error("{}: is not a plain file; put the file itself there", path.display())]
    NotAFile {
        /// What was to be a file.
        path: PathBuf,
    },
    /// A file is larger than what is read.
    #[error("{}: is larger than the limit of {} MiB; put a smaller file there", path.display(), MAX_FILE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The folder contains no flag.
    #[error("{}: holds no flag; put each flag into a folder of its own, such as br/br.gif and br/metadata.json", path.display())]
    Empty {
        /// The folder without flags.
        path: PathBuf,
    },
    /// Something other than a plain file is not named like a flag.
    #[error("{}: is not named by a country code; name it by two lower-case letters, such as br, or move it away", path.display())]
    NotACode {
        /// What has the wrong name.
        path: PathBuf,
    },
    /// An image is not a GIF.
    #[error("{}: is not a GIF image; convert it to GIF87a or GIF89a", path.display())]
    NotAGif {
        /// The file.
        path: PathBuf,
    },
    /// A metadata file does not say what it must.
    #[error("{}: {reason}; write an object such as {{\"country\": \"Brazil\", \"iso_cc\": \"BR\"}}", path.display())]
    InvalidMetadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A metadata file is about another country than its folder.
    #[error("{}: iso_cc is {found}, but the folder is that of {expected}; correct one of them", path.display())]
    WrongCode {
        /// The file.
        path: PathBuf,
        /// The code that the folder is named by.
        expected: CountryCode,
        /// The code in the file.
        found: CountryCode,
    },
}

impl Problem {
    /// The path that the problem is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path, .. }
            | Self::Unreadable { path, .. }
            | Self::NotAFolder { path }
            | Self::NotAFile { path }
            | Self::TooLarge { path }
            | Self::Empty { path }
            | Self::NotACode { path }
            | Self::NotAGif { path }
            | Self::InvalidMetadata { path, .. }
            | Self::WrongCode { path, .. } => path,
        }
    }
}

/// Reads every flag of a folder, in the order of their codes, or says everything that is wrong.
pub(crate) fn read(folder: &Path) -> Result<Vec<Entry>, LoadError> {
    let mut problems = Vec::new();
    let mut entries: Vec<Entry> = subfolders(folder, &mut problems)
        .into_iter()
        .filter_map(|(code, path)| read_entry(code, &path, &mut problems))
        .collect();

    if entries.is_empty() && problems.is_empty() {
        problems.push(Problem::Empty {
            path: folder.to_owned(),
        });
    }
    if problems.is_empty() {
        entries.sort_by_key(|entry| entry.code);
        Ok(entries)
    } else {
        problems.sort_by(|one, other| one.path().cmp(other.path()));
        Err(LoadError {
            folder: folder.to_owned(),
            problems,
        })
    }
}

/// The folders that are named by a country code.
fn subfolders(folder: &Path, problems: &mut Vec<Problem>) -> Vec<(CountryCode, PathBuf)> {
    const REMEDY: &str = "name the folder that holds the folders ad to zw";

    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            problems.push(Problem::NotAFolder {
                path: folder.to_owned(),
            });
            return Vec::new();
        }
        Err(source) => {
            problems.push(absent_or_unreadable(folder, "folder", REMEDY, source));
            return Vec::new();
        }
    }

    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(source) => {
            problems.push(absent_or_unreadable(folder, "folder", REMEDY, source));
            return Vec::new();
        }
    };
    let mut subfolders = Vec::new();
    for item in listing {
        match item {
            Ok(item) => match classify(&item) {
                Ok(Some(code)) => subfolders.push((code, item.path())),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            },
            Err(source) => problems.push(Problem::Unreadable {
                path: folder.to_owned(),
                source,
            }),
        }
    }
    subfolders
}

/// The code of a flag's folder, or `None` for entries that are ignored: hidden ones and plain
/// files, such as a README.
fn classify(item: &fs::DirEntry) -> Result<Option<CountryCode>, Problem> {
    let name = item.file_name();
    if name.as_encoded_bytes().starts_with(b".") {
        return Ok(None);
    }
    let path = item.path();
    // Links count as what they lead to.
    let kind = match fs::metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        Err(source) => return Err(Problem::Unreadable { path, source }),
    };
    if kind.is_file() {
        return Ok(None);
    }
    let code = name
        .to_str()
        .and_then(|name| name.parse().ok())
        .filter(|code: &CountryCode| *code.to_lowercase() == *name);
    match code {
        Some(_) if !kind.is_dir() => Err(Problem::NotAFolder { path }),
        Some(code) => Ok(Some(code)),
        None => Err(Problem::NotACode { path }),
    }
}

/// The two files of one flag, or `None` with what is wrong about them added to the problems.
fn read_entry(code: CountryCode, folder: &Path, problems: &mut Vec<Problem>) -> Option<Entry> {
    let mut keep = |problem| problems.push(problem);
    let image = read_image(&folder.join(format!("{}.gif", code.to_lowercase())))
        .map_err(&mut keep)
        .ok();
    let metadata = read_metadata(&folder.join("metadata.json"), code)
        .map_err(&mut keep)
        .ok();

    let (image, last_modified) = image?;
    let (metadata, country) = metadata?;
    Some(Entry {
        code,
        country,
        image,
        metadata,
        last_modified,
    })
}

/// Whether these bytes begin as those of a GIF image.
#[must_use]
pub fn is_gif(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")
}

fn read_image(path: &Path) -> Result<(Vec<u8>, SystemTime), Problem> {
    const REMEDY: &str = "each flag has an image named by its code, such as br/br.gif";

    let (bytes, last_modified) = read_file(path, REMEDY)?;
    if is_gif(&bytes) {
        Ok((bytes, last_modified))
    } else {
        Err(Problem::NotAGif {
            path: path.to_owned(),
        })
    }
}

fn read_metadata(path: &Path, code: CountryCode) -> Result<(Vec<u8>, String), Problem> {
    const REMEDY: &str = "each flag has one, such as br/metadata.json";

    let (bytes, _) = read_file(path, REMEDY)?;
    let invalid = |reason: String| Problem::InvalidMetadata {
        path: path.to_owned(),
        reason,
    };
    let metadata: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("is not a JSON object ({error})")))?;
    let text = |key: &str| match metadata.get(key) {
        Some(serde_json::Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("{key} is not a string"))),
        None => Err(invalid(format!("has no {key}"))),
    };

    let country = text("country")?;
    // Programs name files by it.
    if country.trim().is_empty() || country.contains(|c: char| c.is_control() || "/\\".contains(c))
    {
        return Err(invalid(format!(
            "country is {country:?}, which is not a name"
        )));
    }
    let found: CountryCode = text("iso_cc")?
        .parse()
        .map_err(|error| invalid(format!("iso_cc: {error}")))?;
    if found != code {
        return Err(Problem::WrongCode {
            path: path.to_owned(),
            expected: code,
            found,
        });
    }
    let country = country.clone();
    Ok((bytes, country))
}

/// A plain file and when it was modified.
fn read_file(path: &Path, remedy: &'static str) -> Result<(Vec<u8>, SystemTime), Problem> {
    let fail = |source| absent_or_unreadable(path, "file", remedy, source);
    let metadata = fs::metadata(path).map_err(fail)?;
    // Asked before opening, because opening a pipe would wait for somebody to write.
    if !metadata.is_file() {
        return Err(Problem::NotAFile {
            path: path.to_owned(),
        });
    }
    let last_modified = metadata.modified().map_err(fail)?;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(fail)?;
    let mut file = file.take(MAX_FILE + 1);
    file.read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Problem::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok((bytes, last_modified))
}

fn absent_or_unreadable(
    path: &Path,
    what: &'static str,
    remedy: &'static str,
    source: io::Error,
) -> Problem {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        Problem::Missing { path, what, remedy }
    } else {
        Problem::Unreadable { path, source }
    }
}
