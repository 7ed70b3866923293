//! Who pays for the threads of the clock. It is alone in its process, where nobody else has a
//! timer.

#![cfg(all(target_os = "linux", feature = "cpu"))]

use std::time::{Duration, Instant};

use flag_host::{clock, cpu};

#[test]
fn the_timer_of_a_client_is_not_counted_as_a_servers() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let soon = || Instant::now() + Duration::from_millis(1);
    runtime.unwrap().block_on(async {
        for _ in 0..20 {
            clock::client_sleep_until(soon()).await;
        }
        assert_eq!(cpu::server_time(), Some(Duration::ZERO));
        clock::sleep_until(soon()).await;
        assert!(cpu::server_time() > Some(Duration::ZERO));
    });
}
