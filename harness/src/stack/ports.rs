//! Picks ports for the servers of a stack. They lie below the kernel's range for outgoing connections, for two reasons:
//! a stopped server's port is not handed to some client meanwhile, and a client that keeps dialling it cannot connect to
//! itself (on loopback, a socket whose own port happens to be the one it dials does).

use super::error::StackError;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// The lowest port that we use: far above the well-known ones.
const PORT_MIN: u16 = 20_000;
/// The highest one where the kernel's range leaves no room below itself.
const PORT_MAX_FALLBACK: u16 = 29_999;
/// How many ports below the kernel's range are room enough.
const PORTS_MIN: u16 = 1_000;

/// Chooses `count` ports on which nothing listens and which are not in `taken`. Nothing reserves them: the caller holds a
/// lock until it has written them where the next caller looks for `taken`.
pub(crate) fn free(count: usize, taken: &BTreeSet<u16>) -> Result<Vec<u16>, StackError> {
    let range = candidates(ephemeral_low());
    let (low, high) = (*range.start(), *range.end());
    let size = usize::from(high - low) + 1;
    // A random start keeps users with different scratch directories, who cannot see each other's choice, apart.
    let start = usize::try_from(RandomState::new().hash_one(0) % 65_536).unwrap_or(0) % size;
    let ports: Vec<u16> = range
        .clone()
        .chain(range)
        .skip(start)
        .take(size)
        .filter(|port| !taken.contains(port) && is_free(*port))
        .take(count)
        .collect();
    if ports.len() < count { Err(StackError::NoPort { low, high }) } else { Ok(ports) }
}

/// The first port of the kernel's range for outgoing connections; Linux's default where it cannot be read.
fn ephemeral_low() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768)
}

fn candidates(ephemeral_low: u16) -> RangeInclusive<u16> {
    if ephemeral_low < PORT_MIN + PORTS_MIN {
        PORT_MIN..=PORT_MAX_FALLBACK
    } else {
        PORT_MIN..=ephemeral_low - 1
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_stay_below_the_kernels_range() {
        assert_eq!(candidates(32_768), 20_000..=32_767);
        assert_eq!(candidates(21_000), 20_000..=20_999);
        assert_eq!(candidates(1_024), 20_000..=29_999);
    }

    #[test]
    fn chosen_ports_are_distinct_and_can_be_bound() {
        let ports = free(8, &BTreeSet::new()).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 8);
        for port in ports {
            assert!(is_free(port), "port {port}");
        }
    }

    #[test]
    fn taken_and_bound_ports_are_passed_over() {
        let range = candidates(ephemeral_low());
        let bound = free(1, &BTreeSet::new()).unwrap()[0];
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, bound)).unwrap();
        let all_but_bound: BTreeSet<u16> = range.clone().filter(|port| *port != bound).collect();
        assert!(matches!(free(1, &all_but_bound), Err(StackError::NoPort { .. })));

        let taken: BTreeSet<u16> = range.clone().take(range.len() / 2).collect();
        assert!(free(20, &taken).unwrap().iter().all(|port| !taken.contains(port)));
    }
}
