//! A file of JSON lines, written by a thread of its own: whoever has a line never waits for it.
//!
//! The lines that wait for the thread have a bound in bytes. Beyond it, as when the reader of a
//! pipe is paused or a disk is too slow, they are lost, counted and reported. It knows nothing of
//! what the lines say.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flag_host::{lock, open_log, reopen_log};
use serde::Serialize;
use tracing::{error, warn};

use crate::throttle::Throttle;

/// The most bytes that wait to be written, as they are in memory.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// The file.
#[derive(Debug)]
pub(crate) struct JsonLines<T> {
    path: PathBuf,
    sender: LineSender<T>,
    /// Disconnected when the thread has ended. Locked once; threads can share a server so.
    ended: Mutex<Receiver<()>>,
}

/// Sends lines to the file. The thread ends when all senders are gone.
#[derive(Debug)]
pub(crate) struct LineSender<T> {
    messages: Sender<Message<T>>,
    counts: Arc<Counts>,
}

enum Message<T> {
    /// A line, and the bytes that it takes.
    Line(T, usize),
    /// The lines after it go here.
    Reopened(Box<dyn Write + Send>),
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    /// The lines that wait, or have been written and not flushed.
    unwritten: AtomicU64,
    lost: AtomicU64,
    reports: Throttle,
}

impl<T: Serialize + Send + 'static> JsonLines<T> {
    /// Creates or empties the file. A device or a pipe is written to, and `-` is standard output.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Self::start(path, open_log(path)?)
    }

    fn start(path: &Path, file: Box<dyn Write + Send>) -> io::Result<Self> {
        let (messages, received) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let mut writer = Writer {
            file: Some(BufWriter::new(file)),
            unflushed: 0,
            counts: Arc::clone(&counts),
        };
        std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || {
                writer.write_all(&received);
                drop(ending);
            })?;
        Ok(Self {
            path: path.to_owned(),
            sender: LineSender { messages, counts },
            ended: Mutex::new(ended),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn sender(&self) -> LineSender<T> {
        self.sender.clone()
    }

    /// Opens the file anew, for lines that are sent from now on: the old one may have been renamed.
    /// It is appended to. A file that could not be written before gets another chance.
    ///
    /// # Errors
    /// When it cannot be opened; then nothing changes.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let reopened = Message::Reopened(reopen_log(&self.path)?);
        let sent = self.sender.messages.send(reopened);
        sent.map_err(|_| io::Error::other("its thread has ended"))
    }

    /// Waits until everything is written, at most for `timeout`, and returns how many lines are
    /// lost. All other senders have to be gone.
    pub(crate) fn finish(self, timeout: Duration) -> u64 {
        let LineSender { messages, counts } = self.sender;
        drop(messages);
        // The only answer is the end of the thread.
        lock(&self.ended).recv_timeout(timeout).ok();
        counts.lost.load(Ordering::Acquire) + counts.unwritten.load(Ordering::Acquire)
    }
}

impl<T> LineSender<T> {
    /// Sends a line that takes this many bytes in memory, or loses it.
    pub(crate) fn send(&self, line: T, bytes: usize) {
        let counts = &self.counts;
        let waiting = counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if waiting > MAX_WAITING_BYTES {
            counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            counts.lose();
            return;
        }
        counts.unwritten.fetch_add(1, Ordering::AcqRel);
        // If the thread has panicked, it stays unwritten.
        drop(self.messages.send(Message::Line(line, bytes)));
    }
}

impl<T> Clone for LineSender<T> {
    fn clone(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            counts: Arc::clone(&self.counts),
        }
    }
}

impl Counts {
    fn lose(&self) {
        let lost = self.lost.fetch_add(1, Ordering::AcqRel) + 1;
        if self.reports.count().is_some() {
            warn!(
                lost,
                "records are missing from the decision log: it cannot be written, or not as fast as they come"
            );
        }
    }
}

/// What the thread has.
struct Writer {
    /// None after it could not be written.
    file: Option<BufWriter<Box<dyn Write + Send>>>,
    unflushed: u64,
    counts: Arc<Counts>,
}

impl Writer {
    /// Writes until all senders are gone, and leaves nothing in the buffer while it waits.
    fn write_all<T: Serialize>(&mut self, messages: &Receiver<Message<T>>) {
        while let Ok(first) = messages.recv() {
            for message in std::iter::once(first).chain(messages.try_iter()) {
                match message {
                    Message::Line(line, bytes) => {
                        self.write(&line);
                        drop(line);
                        (self.counts.waiting_bytes).fetch_sub(bytes, Ordering::Relaxed);
                    }
                    Message::Reopened(file) => self.reopen(file),
                }
            }
            self.flush();
        }
    }

    fn reopen(&mut self, file: Box<dyn Write + Send>) {
        self.flush();
        let has_failed = self.file.is_none();
        let mut file = BufWriter::new(file);
        // It may be the same file, and end in the middle of a line.
        let begun = if has_failed {
            file.write_all(b"\n")
        } else {
            Ok(())
        };
        self.file = Some(file);
        self.check(begun);
    }

    fn write(&mut self, line: &impl Serialize) {
        let Some(file) = &mut self.file else {
            self.counts.unwritten.fetch_sub(1, Ordering::AcqRel);
            self.counts.lose();
            return;
        };
        self.unflushed += 1;
        let written = serde_json::to_writer(&mut *file, line).map_err(io::Error::from);
        let written = written.and_then(|()| file.write_all(b"\n"));
        self.check(written);
    }

    fn flush(&mut self) {
        let Some(file) = &mut self.file else {
            return;
        };
        let flushed = file.flush();
        if self.check(flushed) {
            let flushed = std::mem::take(&mut self.unflushed);
            self.counts.unwritten.fetch_sub(flushed, Ordering::AcqRel);
        }
    }

    /// Whether it could be written. If not, that is the end of this file.
    fn check(&mut self, written: io::Result<()>) -> bool {
        let Err(error) = written else {
            return true;
        };
        error!(%error, "the decision log ends here: it cannot be written");
        if let Some(file) = self.file.take() {
            drop(file.into_parts()); // without another attempt to write what is in the buffer
        }
        let lost = std::mem::take(&mut self.unflushed);
        self.counts.lost.fetch_add(lost, Ordering::AcqRel);
        self.counts.unwritten.fetch_sub(lost, Ordering::AcqRel);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Written to only when a message comes, and never after the last.
    struct Paused(Receiver<()>);

    impl Write for Paused {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.recv() {
                Ok(()) => Ok(bytes.len()),
                Err(_) => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_takes_are_bounded_and_counted_and_the_end_does_not_wait_for_them() {
        let (_go_on, paused) = mpsc::channel();
        let lines = JsonLines::start(Path::new("paused"), Box::new(Paused(paused))).unwrap();
        let sender = lines.sender();
        let (half, more) = (MAX_WAITING_BYTES / 2, 1000);
        sender.send("a", half);
        sender.send("b", half);
        for _ in 0..more {
            sender.send("c", half + 1); // the thread may have taken the first meanwhile, and no more
        }
        let counts = Arc::clone(&sender.counts);
        assert!(counts.lost.load(Ordering::Acquire) >= more - 1);
        assert!(counts.waiting_bytes.load(Ordering::Acquire) <= MAX_WAITING_BYTES);
        drop(sender);
        assert_eq!(lines.finish(Duration::ZERO), more + 2);
    }

    #[test]
    fn all_lines_are_written_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "older").unwrap();
        let lines = JsonLines::create(&path).unwrap();
        for line in 0..1000 {
            lines.sender().send(line, 1);
        }
        assert_eq!(lines.finish(LONG), 0);
        let expected: String = (0..1000).map(|line| format!("{line}\n")).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_that_was_renamed_keeps_its_lines_and_a_new_one_gets_those_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let [path, old] = ["log", "log.1"].map(|name| folder.path().join(name));
        let lines = JsonLines::create(&path).unwrap();
        lines.sender().send("first", 1);
        lines.sender().send("second", 1);
        fs::rename(&path, &old).unwrap();
        lines.reopen().unwrap();
        lines.sender().send("third", 1);
        lines.reopen().unwrap(); // not emptied
        lines.sender().send("fourth", 1);
        assert_eq!(lines.finish(LONG), 0);
        assert_eq!(fs::read_to_string(&old).unwrap(), "\"first\"\n\"second\"\n");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "\"third\"\n\"fourth\"\n"
        );
    }

    #[test]
    fn what_could_not_be_written_is_lost_and_a_file_that_is_opened_anew_gets_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (full, paused) = mpsc::channel();
        drop(full);
        let lines = JsonLines::start(&path, Box::new(Paused(paused))).unwrap();
        let sender = lines.sender();
        sender.send("lost", 1);
        while sender.counts.lost.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        sender.send("lost too", 1);
        lines.reopen().unwrap();
        sender.send("kept", 1);
        drop(sender);
        assert_eq!(lines.finish(LONG), 2);
        assert_eq!(fs::read_to_string(&path).unwrap(), "\n\"kept\"\n");
    }
}
