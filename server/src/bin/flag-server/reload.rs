//! SIGHUP: scenarios are read again, and the decision log is opened anew. Whatever is wrong with
//! the scenarios changes none of them, and is logged.

use std::fmt::Write as _;
use std::path::Path;

use flag_server::{BlockingFlagServer, Listener};
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::args::ServeArgs;
use crate::config::configured;

/// The listeners as the files describe them now, or all that is wrong with them.
pub(crate) type Described = Result<Vec<Listener>, String>;

/// Opens the log anew, which somebody may have renamed: also if the scenarios turn out to be wrong.
pub(crate) fn reopen_log(server: &BlockingFlagServer) {
    if let Err(error) = server.reopen_log() {
        error!("SIGHUP: {error}; the records go on to the old file");
    }
}

/// Reads the files again, on a thread of its own: signals are heard meanwhile.
pub(crate) fn read(args: &ServeArgs) -> oneshot::Receiver<Described> {
    let (tell, described) = oneshot::channel();
    let args = args.clone();
    std::thread::spawn(move || tell.send(described_by(&args)));
    described
}

fn described_by(args: &ServeArgs) -> Described {
    for (flag, path) in [("--scenario", &args.scenario), ("--config", &args.config)] {
        if let Some(path) = path.as_deref().filter(|path| !is_file(path)) {
            let path = path.display();
            return Err(format!(
                "{flag} {path}: is not a file that can be read again; name one that is"
            ));
        }
    }
    let configured = configured(args).map_err(|error| error.to_string())?;
    Ok(configured.listeners) // the control plane stays as it is
}

/// A pipe would be empty by now, which is a scenario without faults.
fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// Applies what was read to a server that was started with the listeners `before`.
pub(crate) fn apply(server: &BlockingFlagServer, before: &[Listener], described: Described) {
    let changed = described.and_then(|listeners| {
        check_same(before, &listeners)?;
        let mut changed = Vec::new();
        for Listener { name, scenario, .. } in listeners {
            let is_other = server.set_scenario(&name, &scenario);
            if is_other.map_err(|error| error.to_string())? {
                changed.push(name);
            }
        }
        Ok(changed)
    });
    match changed {
        Ok(names) if names.is_empty() => info!("SIGHUP: read again, no scenario is different"),
        Ok(names) => info!(
            listeners = names.join(","),
            "SIGHUP: other scenarios from now on"
        ),
        Err(problems) => error!("SIGHUP changes nothing: {problems}"),
    }
}

/// Refuses what would open or close a listener.
fn check_same(before: &[Listener], now: &[Listener]) -> Result<(), String> {
    let places = |listeners: &[Listener]| -> Vec<(String, _)> {
        let places = listeners.iter();
        places.map(|one| (one.name.clone(), one.address)).collect()
    };
    let (before, now) = (places(before), places(now));
    let mut problems = String::new();
    for (name, address) in before.iter().filter(|place| !now.contains(place)) {
        let _ = write!(problems, "{name} on {address} would be closed; ");
    }
    for (name, address) in now.iter().filter(|place| !before.contains(place)) {
        let _ = write!(problems, "{name} on {address} would be opened; ");
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems + "start the server again for that")
    }
}
