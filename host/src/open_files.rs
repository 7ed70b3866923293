//! The limit of open files: raises it as far as the system allows. How many are needed is for the
//! caller to say.

/// Raises the limit of open files, sockets among them, to `wanted`, or as far as the system allows.
/// Returns the limit that holds afterwards; it is never lowered.
#[cfg(unix)]
pub fn allow_files(wanted: u64) -> u64 {
    use rlimit::Resource;

    let raised = rlimit::increase_nofile_limit(wanted);
    if raised.is_ok_and(|limit| limit < wanted) {
        // That was the hard limit, which only root may raise; everybody else keeps it.
        let _ = Resource::NOFILE.set(wanted, wanted);
    }
    Resource::NOFILE.get_soft().unwrap_or(wanted)
}

/// Windows has no such limit: memory is the limit there.
#[cfg(not(unix))]
pub fn allow_files(_: u64) -> u64 {
    u64::MAX
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_lowered_and_an_unreachable_one_is_reported() {
        let now = allow_files(1);
        assert_eq!(allow_files(now), now);
        let most = allow_files(u64::MAX / 2);
        assert!(now <= most, "{now} {most}");
        assert_eq!(allow_files(1), most);
    }
}
