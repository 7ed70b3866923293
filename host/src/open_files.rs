//! The limit of open files.

/// Lets this process have so many files and sockets open at one time, or as many as the system allows it. Returns how many that is: no
/// fewer than before.
#[cfg(unix)]
pub fn allow_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let allows = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if !allows(current) {
        let to = |current, maximum| {
            let limit = Rlimit { current, maximum };
            setrlimit(Resource::Nofile, limit)
        };
        // Only root may raise the maximum; everybody else can go up to it.
        let raised = if allows(maximum) {
            to(Some(wanted), maximum)
        } else {
            to(Some(wanted), Some(wanted)).or_else(|_| to(maximum, maximum))
        };
        raised.ok(); // what it has come to is seen next
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Here the memory is the limit.
#[cfg(not(unix))]
pub fn allow_files(_: u64) -> u64 {
    u64::MAX
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What this process has is not taken from it: other tests need it.
    #[test]
    fn what_is_allowed_already_needs_no_raising_and_what_cannot_be_is_told() {
        let now = allow_files(1);
        assert_eq!(allow_files(now), now);
        let most = allow_files(u64::MAX / 2);
        assert!(now <= most, "{now} {most}");
        assert_eq!(allow_files(1), most);
    }
}
