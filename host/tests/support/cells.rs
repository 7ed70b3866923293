//! What a path that is written to can be: made in a scratch folder, and looked at afterwards.
//!
//! The tests of both programs cross these with their options.

#![allow(
    dead_code,
    reason = "each test program uses a part of it, and is compiled with all of it"
)]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// What the older file holds.
pub(crate) const OLD: &str = "what was there before";
/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// What a path can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// An older file.
    Regular,
    /// Nothing yet.
    Missing,
    /// A node like `/dev/null`, of its own.
    Null,
    /// A node like `/dev/full`, of its own.
    FullDevice,
    /// A named pipe that a program reads.
    Pipe,
    /// A named pipe that nobody reads.
    PipeWithoutReader,
    /// A Unix socket that a program reads.
    Socket,
    /// A link to an older file in another folder.
    Link,
    /// A link to nothing yet.
    DanglingLink,
    /// One of two names of an older file.
    HardLink,
    /// An older file with this mode, of another user where root runs the tests.
    Mode(u32),
    /// An older file that may only be read.
    ReadOnly,
    /// Nothing yet, in a folder that cannot be written to.
    UnwritableFolder,
    /// An older file on a disk that is full: a limit of the size of files stands for it.
    FullDisk,
    /// `-`
    Dash,
    /// A descriptor that the shell has opened, as for `>(command)`.
    Descriptor,
    /// A file in a folder that does not exist.
    MissingFolder,
    /// A folder.
    Folder,
}

/// What has to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The document is there.
    Written,
    /// Nothing is measured: exit code 2.
    Refused,
    /// It is reported at the end: exit code 1.
    Failed,
}

impl Cell {
    pub(crate) const ALL: [Self; 19] = [
        Self::Regular,
        Self::Missing,
        Self::Null,
        Self::FullDevice,
        Self::Pipe,
        Self::PipeWithoutReader,
        Self::Socket,
        Self::Link,
        Self::DanglingLink,
        Self::HardLink,
        Self::Mode(0o600),
        Self::Mode(0o640),
        Self::ReadOnly,
        Self::UnwritableFolder,
        Self::FullDisk,
        Self::Dash,
        Self::Descriptor,
        Self::MissingFolder,
        Self::Folder,
    ];

    /// For a document.
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::PipeWithoutReader
            | Self::ReadOnly
            | Self::UnwritableFolder
            | Self::MissingFolder
            | Self::Folder => Ending::Refused,
            Self::FullDevice | Self::FullDisk => Ending::Failed,
            _ => Ending::Written,
        }
    }
}

/// A cell that has been made.
pub(crate) struct Place {
    cell: Cell,
    folder: TempDir,
    /// What the option names.
    pub(crate) path: PathBuf,
    reader: Option<JoinHandle<Vec<u8>>>,
}

/// Says it even though the test passes, whose prints are not shown.
fn skip(cell: Cell, reason: &str) {
    writeln!(std::io::stderr(), "skipped: {cell:?}: {reason}").ok();
}

fn is_root(folder: &TempDir) -> bool {
    fs::metadata(folder.path()).unwrap().uid() == 0
}

impl Place {
    /// Makes it; none, with a line that says so, where this user cannot.
    pub(crate) fn make(cell: Cell, name: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let root = is_root(&folder);
        // For the tests as nobody.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let mut path = folder.path().join(name);
        let other = folder.path().join("elsewhere");
        let mut reader = None;
        match cell {
            Cell::Regular | Cell::FullDisk => fs::write(&path, OLD).unwrap(),
            Cell::Missing => {}
            Cell::Null | Cell::FullDevice if !root => {
                skip(cell, "only root can make a device");
                return None;
            }
            Cell::Null | Cell::FullDevice => {
                let minor = if cell == Cell::Null { "3" } else { "7" };
                let mut mknod = Command::new("mknod");
                mknod.arg(&path).args(["c", "1", minor]);
                if !mknod.status().unwrap().success() || fs::write(&path, "").is_err() {
                    skip(cell, "devices cannot be used here");
                    return None;
                }
            }
            Cell::Pipe | Cell::PipeWithoutReader => {
                let mut mkfifo = Command::new("mkfifo");
                assert!(mkfifo.arg(&path).status().unwrap().success());
                let path = path.clone();
                if cell == Cell::Pipe {
                    reader = Some(std::thread::spawn(move || fs::read(path).unwrap()));
                }
            }
            Cell::Socket => {
                let listener = UnixListener::bind(&path).unwrap();
                reader = Some(std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    let (mut stream, _) = listener.accept().unwrap();
                    stream.read_to_end(&mut bytes).unwrap();
                    bytes
                }));
            }
            Cell::Link | Cell::DanglingLink => {
                fs::create_dir(&other).unwrap();
                symlink("elsewhere/target", &path).unwrap();
                if cell == Cell::Link {
                    fs::write(other.join("target"), OLD).unwrap();
                }
            }
            Cell::HardLink => {
                fs::write(&path, OLD).unwrap();
                fs::hard_link(&path, &other).unwrap();
            }
            Cell::Mode(mode) => {
                fs::write(&path, OLD).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                if root {
                    std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
                }
            }
            Cell::ReadOnly => {
                fs::write(&path, OLD).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
            }
            Cell::UnwritableFolder => {
                fs::create_dir(&other).unwrap();
                fs::set_permissions(&other, Permissions::from_mode(0o555)).unwrap();
                path = other.join(name);
            }
            Cell::Dash => path = "-".into(),
            Cell::Descriptor => path = "/dev/fd/3".into(),
            Cell::MissingFolder => path = other.join(name),
            Cell::Folder => fs::create_dir(&path).unwrap(),
        }
        Some(Self {
            cell,
            folder,
            path,
            reader,
        })
    }

    /// A path as text.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// The program in the surroundings of the cell, in its folder. None, with a line that says so,
    /// where it cannot be started as another user.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Option<Command> {
        let script = match self.cell {
            // The limit is 0 blocks; a program that writes more gets an error, not a signal.
            Cell::FullDisk => "trap '' XFSZ; ulimit -f 0; exec \"$@\"",
            // What is written to standard error is dropped.
            Cell::Descriptor => "exec \"$@\" 3>&2 2>/dev/null",
            _ => "exec \"$@\"",
        };
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", program]).args(args);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if matches!(self.cell, Cell::ReadOnly | Cell::UnwritableFolder) && is_root(&self.folder) {
            command.uid(NOBODY).gid(NOBODY);
            let mut probe = Command::new(program);
            probe.arg("--version").uid(NOBODY).gid(NOBODY);
            if probe.stdout(Stdio::null()).status().is_err() {
                skip(self.cell, "the user nobody cannot start the program");
                return None;
            }
        }
        Some(command)
    }

    /// What was written, where it can be known.
    fn written(&mut self, output: &Output) -> Option<Vec<u8>> {
        match self.cell {
            Cell::Null => None,
            Cell::Dash => Some(output.stdout.clone()),
            Cell::Descriptor => Some(output.stderr.clone()),
            _ => match self.reader.take() {
                Some(reader) => Some(reader.join().unwrap()),
                None => Some(fs::read(&self.path).unwrap()),
            },
        }
    }

    /// Asserts that it ended as it must; `is_replaced` unless it is written in place.
    pub(crate) fn check(
        mut self,
        option: &str,
        output: &Output,
        ending: Ending,
        begins: &str,
        is_replaced: bool,
    ) {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let context = format!("{option} {:?}: {output:?}", self.cell);
        let code = match ending {
            Ending::Written => 0,
            Ending::Failed => 1,
            Ending::Refused => 2,
        };
        assert_eq!(output.status.code(), Some(code), "{context}");
        assert!(!message.contains(".part"), "{context}");
        match ending {
            Ending::Written => {
                if let Some(document) = self.written(output) {
                    let document = String::from_utf8_lossy(&document);
                    assert!(document.starts_with(begins), "{context}: {document}");
                }
            }
            Ending::Failed | Ending::Refused => {
                assert!(message.contains(option), "{context}");
                assert!(message.contains(self.text()), "{context}");
            }
        }
        if ending == Ending::Refused {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{context}");
            assert_eq!(message.lines().count(), 1, "{context}");
        }
        self.check_the_rest(is_replaced, &context);
    }

    /// What must not have changed.
    fn check_the_rest(&self, is_replaced: bool, context: &str) {
        let kind = fs::symlink_metadata(&self.path).map(|found| found.file_type());
        let (root, other) = (is_root(&self.folder), self.folder.path().join("elsewhere"));
        match self.cell {
            Cell::Null | Cell::FullDevice => assert!(kind.unwrap().is_char_device(), "{context}"),
            Cell::Pipe | Cell::PipeWithoutReader => assert!(kind.unwrap().is_fifo(), "{context}"),
            Cell::Socket => assert!(kind.unwrap().is_socket(), "{context}"),
            Cell::Link | Cell::DanglingLink => {
                assert!(kind.unwrap().is_symlink(), "{context}");
                assert_ne!(fs::read(other.join("target")).unwrap(), OLD.as_bytes());
            }
            Cell::HardLink => {
                let other = fs::read(other).unwrap();
                assert_eq!(other == OLD.as_bytes(), is_replaced, "{context}");
            }
            Cell::Mode(mode) => {
                let found = fs::metadata(&self.path).unwrap();
                assert_eq!(found.mode() & 0o7777, mode, "{context}");
                if root {
                    assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{context}");
                }
            }
            Cell::FullDisk if is_replaced => {
                assert_eq!(fs::read_to_string(&self.path).unwrap(), OLD, "{context}");
            }
            Cell::ReadOnly => {
                assert_eq!(fs::read_to_string(&self.path).unwrap(), OLD, "{context}");
            }
            _ => {}
        }
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".part"), "{context}: {name} remains");
        }
    }
}

/// The exit code and the messages of a command whose standard output is a full device.
#[cfg(target_os = "linux")]
pub(crate) fn on_a_full_device(
    program: &str,
    args: &[&str],
    folder: &TempDir,
) -> (Option<i32>, String) {
    // Writing to it never changes it.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(program);
    command.args(args).current_dir(folder);
    let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), message)
}
