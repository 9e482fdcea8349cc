//! Asks a server whether it answers, with a real request in its own protocol. One attempt, no retries, bounded in time.

use super::service::Service;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one attempt may take, the connect included.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(2);
/// The longest answer that we read.
const ANSWER_BYTES_MAX: u32 = 64 * 1024;

/// What Kafka calls a client id and Postgres an application name.
const CLIENT: &str = "chat-gateway-stack";

/// `Ok` if the server on this loopback port gave the answer that it gives when it is ready for work.
pub(super) async fn answers(service: Service, port: u16) -> io::Result<()> {
    let attempt = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        match service {
            Service::Kafka => kafka(&mut stream).await,
            Service::Redis => redis(&mut stream).await,
            Service::Postgres => postgres(&mut stream).await,
        }
    };
    timeout(ATTEMPT_LIMIT, attempt).await?
}

/// A metadata request. It is accepted before the broker has joined its own cluster, but lists a broker only afterwards.
async fn kafka(stream: &mut TcpStream) -> io::Result<()> {
    const METADATA: i16 = 3;
    const VERSION: i16 = 1;
    const CORRELATION: i32 = 1;
    const TOPICS: i32 = 0;
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend(u16::try_from(CLIENT.len()).map_err(io::Error::other)?.to_be_bytes());
    body.extend(CLIENT.as_bytes());
    body.extend(TOPICS.to_be_bytes());
    let mut request = u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
    request.extend(body);
    stream.write_all(&request).await?;

    let length = stream.read_u32().await?;
    let answer = read_exactly(stream, length).await?;
    let [correlation, brokers] =
        [0, 4].map(|at| answer.get(at..at + 4).and_then(|four| four.try_into().ok()));
    match (correlation.map(i32::from_be_bytes), brokers.map(i32::from_be_bytes)) {
        (Some(CORRELATION), Some(1..)) => Ok(()),
        _ => Err(io::Error::other("it answers, but its cluster has no broker yet")),
    }
}

async fn redis(stream: &mut TcpStream) -> io::Result<()> {
    const PONG: &[u8] = b"+PONG\r\n";
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; PONG.len()];
    stream.read_exact(&mut answer).await?;
    if answer == PONG {
        Ok(())
    } else {
        Err(io::Error::other("it did not answer `PING` with `PONG`"))
    }
}

/// A login to the database that every Postgres has, up to the point where it would take a query.
async fn postgres(stream: &mut TcpStream) -> io::Result<()> {
    const PROTOCOL_3: u32 = 3 << 16;
    let parameters = format!("user\0postgres\0database\0postgres\0application_name\0{CLIENT}\0\0");
    let length = u32::try_from(8 + parameters.len()).map_err(io::Error::other)?;
    let mut login = length.to_be_bytes().to_vec();
    login.extend(PROTOCOL_3.to_be_bytes());
    login.extend(parameters.as_bytes());
    stream.write_all(&login).await?;
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        read_exactly(stream, length.saturating_sub(4)).await?;
        match kind {
            b'Z' => break,
            b'E' => return Err(io::Error::other("it refused the login")),
            _ => {}
        }
    }
    // A polite goodbye, so that its log shows no broken connections.
    stream.write_all(b"X\0\0\0\x04").await
}

async fn read_exactly(stream: &mut TcpStream, length: u32) -> io::Result<Vec<u8>> {
    if length > ANSWER_BYTES_MAX {
        return Err(io::Error::other("its answer is too long"));
    }
    let mut answer = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut answer).await?;
    if u32::try_from(answer.len()) == Ok(length) {
        Ok(answer)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Probes a server that reads something and then says `answer`.
    async fn check(service: Service, answer: &'static [u8], expected: bool) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            stream.write_all(answer).await.unwrap();
        });
        let outcome = answers(service, port).await;
        assert_eq!(outcome.is_ok(), expected, "{service} {answer:?}: {outcome:?}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn only_the_answer_of_a_ready_server_counts() {
        check(Service::Redis, b"+PONG\r\n", true).await;
        check(Service::Redis, b"-LOADING\r\n", false).await;
        check(Service::Redis, b"", false).await;
        check(Service::Kafka, b"\0\0\0\x08\0\0\0\x01\0\0\0\x01", true).await;
        check(Service::Kafka, b"\0\0\0\x08\0\0\0\x01\0\0\0\0", false).await;
        check(Service::Kafka, b"\0\0\0\x08\0\0\0\x02\0\0\0\x01", false).await;
        check(Service::Kafka, b"\0\0\0\x08\0\0\0\x01", false).await;
        check(Service::Kafka, b"HTTP/1.1 400 Bad Request\r\n\r\n", false).await;
        check(Service::Postgres, b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", true).await;
        check(Service::Postgres, b"E\0\0\0\x04", false).await;
        check(Service::Postgres, b"R\0\0\0\x08\0\0\0\0", false).await;
    }

    #[tokio::test]
    async fn a_port_without_a_server_does_not_answer() {
        let port = super::super::ports::free(1, &std::collections::BTreeSet::new()).unwrap()[0];
        assert!(answers(Service::Redis, port).await.is_err());
    }
}
