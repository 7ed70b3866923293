//! The limits of the control group (cgroup) that this process is in, such as those of a container,
//! as Linux reports them. Other systems have none.
//!
//! The quota of processors is not here: [`std::thread::available_parallelism`] counts it.

use std::fs;
use std::path::Path;

/// Where groups of the second version are, also beside those of the first; and the file with the
/// limit.
const UNIFIED: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
const UNIFIED_LIMIT: &str = "memory.max";
/// Where those of the first version are that limit memory; and the file with the limit, which is a
/// very large number where there is none.
const FIRST: [&str; 1] = ["sys/fs/cgroup/memory"];
const FIRST_LIMIT: &str = "memory.limit_in_bytes";

/// The memory, in bytes, that this process and others of its group may use: the smallest limit of
/// the group and of those that contain it. None where there is no limit.
pub fn memory_limit() -> Option<u64> {
    memory_limit_in(Path::new("/"))
}

/// That of the process whose system has its files below `root`.
fn memory_limit_in(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups
        .lines()
        .filter_map(|line| {
            // The number of the hierarchy, its controllers, and the group (cgroups(7)).
            let (_, controllers_and_group) = line.split_once(':')?;
            let (controllers, group) = controllers_and_group.split_once(':')?;
            let (mounts, file) = if controllers.is_empty() {
                (&UNIFIED[..], UNIFIED_LIMIT)
            } else if controllers.split(',').any(|name| name == "memory") {
                (&FIRST[..], FIRST_LIMIT)
            } else {
                return None;
            };
            let limits = mounts.iter();
            let limits = limits.filter_map(|mount| smallest(&root.join(mount), group, file));
            limits.min()
        })
        .min()
}

/// The smallest limit of a group and of those that contain it. A container may see its own group as
/// the root, under the name that it has outside: what is not there has no limit.
fn smallest(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    let limit = |group: &Path| {
        let text = fs::read_to_string(mount.join(group).join(file)).ok()?;
        text.trim().parse().ok() // `max` is none
    };
    group.ancestors().filter_map(limit).min()
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;

    const NONE_OF_THE_FIRST: &str = "9223372036854771712\n";

    /// The limit in a system with this `/proc/self/cgroup` and these files below `/sys/fs/cgroup`.
    fn limit(groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", groups);
        for (path, text) in files {
            write(&format!("sys/fs/cgroup/{path}"), text);
        }
        memory_limit_in(root.path())
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_its_parents_counts() {
        for (outer, own, expected) in [
            ("max\n", "max\n", None),
            ("max\n", "1000\n", Some(1000)),
            ("1000\n", "max\n", Some(1000)),
            ("1000\n", "2000\n", Some(1000)),
            ("2000\n", "1000\n", Some(1000)),
            ("0\n", "1000\n", Some(0)),
            ("", "x", None),
        ] {
            let second = [("a/memory.max", outer), ("a/b/c/memory.max", own)];
            assert_eq!(limit("0::/a/b/c\n", &second), expected, "{outer:?} {own:?}");

            let first = [outer, own].map(|text| text.replace("max\n", NONE_OF_THE_FIRST));
            let first = [
                ("memory/a/memory.limit_in_bytes", &*first[0]),
                ("memory/a/b/c/memory.limit_in_bytes", &first[1]),
            ];
            let groups = "5:cpu,cpuacct:/z\n4:memory:/a/b/c\n0::/a\n";
            let expected = match expected {
                None if own == "max\n" => NONE_OF_THE_FIRST.trim().parse().ok(),
                expected => expected,
            };
            assert_eq!(limit(groups, &first), expected, "{outer:?} {own:?}");
        }
    }

    #[test]
    fn the_group_of_a_container_may_be_the_root_that_it_sees() {
        let of_the_second = [("memory.max", "1000\n")];
        for groups in ["0::/\n", "0::/docker/1234\n", "0::/../other\n"] {
            assert_eq!(limit(groups, &of_the_second), Some(1000), "{groups}");
        }
        let of_the_first = [("memory/memory.limit_in_bytes", "1000\n")];
        assert_eq!(limit("4:memory:/docker/1234\n", &of_the_first), Some(1000));
    }

    #[test]
    fn groups_that_do_not_limit_memory_do_not_count() {
        let files = [
            ("memory/a/memory.limit_in_bytes", "1\n"),
            ("unified/a/memory.max", "3\n"),
            ("b/memory.max", "2\n"),
        ];
        assert_eq!(limit("3:cpu:/a\n1:name=systemd:/b\n", &files), None);
        assert_eq!(limit("3:cpu:/a\n0::/a\n", &files), Some(3));
        for nonsense in ["", "\n", "x", "0:", "0::", "::::"] {
            assert_eq!(limit(nonsense, &files), None, "{nonsense:?}");
        }
    }
}
