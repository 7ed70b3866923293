//! The memory of a process and of all that it has started, as Linux reports it in `/proc`.
//!
//! It is the proportional set size (Pss): of a page that *n* processes share, such as those of a
//! program or of a library, each has one *n*-th. So the sum over processes counts a page once.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};

/// The proportional set sizes of this process and of all that it has started, in bytes; zero where
/// the system does not report them, or the process has ended. What it has started is found by the
/// parents of processes, and by the group where the parent has ended. None if the memory of one of
/// them may not be read.
pub fn proportional(root: u32) -> Option<u64> {
    let sizes = family(root).into_iter().map(size);
    sizes.sum::<io::Result<u64>>().ok()
}

/// The proportional set size of a process; zero if it has ended.
fn size(process: u32) -> io::Result<u64> {
    match fs::read_to_string(format!("/proc/{process}/smaps_rollup")) {
        Ok(rollup) => Ok(size_in(&rollup)),
        Err(error) if has_ended(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Its file was missing, or it ended while that was read.
fn has_ended(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// The line `Pss:` of such a file, which has KiB. A process that is about to end has none.
fn size_in(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// A process, and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin {
    process: u32,
    parent: u32,
    group: u32,
}

impl Kin {
    /// From a line of `/proc/PID/stat`, whose second field may contain spaces and brackets.
    fn parse(stat: &str) -> Option<Self> {
        let (process, _) = stat.split_once(' ')?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(1);
        Some(Self {
            process: process.parse().ok()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

/// The process, and all that it has started.
fn family(root: u32) -> HashSet<u32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let kin = folders.filter_map(|folder| {
        let name = folder.file_name();
        let process = name.to_str()?.parse::<u32>().ok()?;
        Kin::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    });
    family_among(root, kin.collect())
}

fn family_among(root: u32, mut others: Vec<Kin>) -> HashSet<u32> {
    let mut family = HashSet::from([root]);
    loop {
        let before = family.len();
        others.retain(|kin| {
            let belongs = family.contains(&kin.parent) || family.contains(&kin.group);
            if belongs {
                family.insert(kin.process);
            }
            !belongs
        });
        if family.len() == before {
            return family;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_in_bytes() {
        let rollup = "5581-7ffe [rollup]\nRss:  900 kB\nPss:        123 kB\nPss_Dirty:  7 kB\n";
        assert_eq!(size_in(rollup), 123 * 1024);
        assert_eq!(size_in(""), 0);
    }

    #[test]
    fn the_name_of_a_program_may_look_like_fields() {
        let kin = Kin::parse("7 (a) 1 (b) S 5 6 0 0 -1 4194304").unwrap();
        let expected = Kin {
            process: 7,
            parent: 5,
            group: 6,
        };
        assert_eq!(kin, expected);
        assert_eq!(Kin::parse(""), None);
    }

    #[test]
    fn a_family_has_children_of_children_and_those_whose_parent_has_ended() {
        let kin = |process, parent, group| Kin {
            process,
            parent,
            group,
        };
        let others = vec![
            kin(13, 12, 12), // child of a child, in a group of its own
            kin(12, 11, 12), // child of a child
            kin(11, 10, 10), // child
            kin(14, 1, 10),  // its parent has ended
            kin(10, 9, 10),
            kin(9, 1, 9), // parent
            kin(8, 9, 9), // sibling
        ];
        let family = family_among(10, others);
        assert_eq!(family, HashSet::from([10, 11, 12, 13, 14]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_one_that_has_ended_has_none() {
        let own = proportional(std::process::id()).unwrap();
        assert!(own > 100_000, "{own}");
        assert_eq!(proportional(u32::MAX), Some(0));
    }
}
