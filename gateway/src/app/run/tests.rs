use std::collections::BTreeMap;

use tokio::net::TcpStream;

use super::*;
use crate::config::Overrides;

fn dev() -> Config {
    Config::load(Role::Dev, BTreeMap::new(), &Overrides::default()).unwrap()
}

#[test]
fn a_gateway_that_was_asked_to_stop_does_not_say_that_it_is_ready() {
    for is_stopping in [false, true] {
        let (shutdown, readiness) = (Shutdown::default(), Readiness::default());
        if is_stopping {
            shutdown.requested.cancel();
        }
        let (addresses, mut was_called) = ((None, SocketAddr::from(([0; 4], 0))), false);
        be_ready(&dev(), &shutdown, &readiness, addresses, |_, _| was_called = true);
        assert_eq!((was_called, readiness.is_positioned()), (!is_stopping, !is_stopping));
    }
}

#[tokio::test]
async fn all_addresses_mean_those_of_ipv4_as_well() {
    let listener = bind_one("HOST, PORT", None, 0).unwrap();
    let address = listener.local_addr().unwrap();
    if address.is_ipv6() {
        assert!(!socket2::SockRef::from(&listener).only_v6().unwrap());
    }
    TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
}
