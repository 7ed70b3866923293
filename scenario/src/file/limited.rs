//! Reading a file that a user names, up to a limit: a device or a mistaken name must not fill the
//! memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest scenario or configuration that is read, in bytes.
pub const MAX_TOML: u64 = 1 << 20;

/// The text of a file, a pipe or a device.
///
/// # Errors
/// As [`read_bytes_limited`], and when it is not UTF-8.
pub fn read_limited(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_bytes_limited(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The bytes of a file, a pipe or a device.
///
/// # Errors
/// When it cannot be read, or is larger than `limit` bytes ([`io::ErrorKind::FileTooLarge`]).
pub fn read_bytes_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let text = format!("it is larger than the limit of {} MiB", limit >> 20);
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    };
    let file = File::open(path)?;
    if file.metadata()?.len() > limit {
        return Err(too_large());
    }
    // A device or a pipe has no size.
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// What to do about a TOML file that cannot be read.
#[must_use]
pub fn remedy(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::FileTooLarge => "name a smaller TOML file",
        _ => "name a TOML file that exists",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
        let path = std::env::temp_dir().join(format!("flag-limited-{}", std::process::id()));
        for (size, kind) in [(8, None), (9, Some(io::ErrorKind::FileTooLarge))] {
            std::fs::write(&path, vec![b'a'; size]).unwrap();
            let read = read_limited(&path, 8);
            assert_eq!(read.err().map(|error| error.kind()), kind);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_device_is_an_error() {
        let error = read_limited(Path::new("/dev/zero"), MAX_TOML).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than the limit of 1 MiB");
    }
}
