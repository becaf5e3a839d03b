//! The operator's end of the control socket: GET and POST over a Unix socket, one connection for all
//! requests of a command.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Longest answer taken: the status of 10,000 links is some megabytes.
const ANSWER_LEN_MAX: usize = 64 << 20;
/// Longest wait for a connection or an answer; the server gives up on a worker before.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody to ask, or nobody who listens to this user.
    #[error("{path}: {error}; {}", remedy(error))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The server refused; in its own words.
    #[error("{message}")]
    Refused {
        /// HTTP status code.
        code: u16,
        /// What it said.
        message: String,
    },
    /// The conversation broke off, or is none.
    #[error("{path}: no answer: {problem}; the server's log may say why")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
}

impl ClientError {
    /// Whether the server says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "is the server running? Name its socket by --socket or --config"
        }
        io::ErrorKind::PermissionDenied => {
            "run this as root, or as a member of the group of the server's process"
        }
        _ => "is this the server's control socket?",
    }
}

/// What the server says of a request that it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects; needs a tokio runtime that runs as long as the client is used.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Broken`].
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = |error| ClientError::Connect {
            path: path.into(),
            error,
        };
        let stream = tokio::time::timeout(WAIT_MAX, UnixStream::connect(path)).await;
        let stream = stream
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(connect)?;
        let shake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shake.map_err(|error| broken(path, &error))?;
        // What ends the connection ends the request on it too, and is reported there.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            path: path.into(),
            sender,
        })
    }

    /// The answer to `GET path_and_query`, which is percent-encoded where needed.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Broken`].
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        path_and_query: &str,
    ) -> Result<T, ClientError> {
        self.ask_for(Method::GET, path_and_query, Bytes::new(), WAIT_MAX)
            .await
    }

    /// The answer to `POST path_and_query`, which may take as long as `at_most`.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Broken`].
    pub async fn post<T: DeserializeOwned>(
        &mut self,
        path_and_query: &str,
        at_most: Duration,
    ) -> Result<T, ClientError> {
        self.ask_for(Method::POST, path_and_query, Bytes::new(), at_most)
            .await
    }

    /// As [`post`](Self::post), with a body in JSON.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Broken`].
    pub async fn post_json<T: DeserializeOwned>(
        &mut self,
        path_and_query: &str,
        body: &impl Serialize,
        at_most: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| broken(&self.path, &error))?;
        self.ask_for(Method::POST, path_and_query, body.into(), at_most)
            .await
    }

    /// The answer to `POST path_and_query`, line by line, which may take for ever.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Broken`].
    pub async fn post_lines(&mut self, path_and_query: &str) -> Result<AnswerLines, ClientError> {
        let asked = self.send(Method::POST, path_and_query, Bytes::new());
        let asked = tokio::time::timeout(WAIT_MAX, asked).await;
        let response = asked.unwrap_or_else(|_| Err(broken(&self.path, &"it took too long")))?;
        let code = response.status();
        if code != StatusCode::OK {
            let body = self.whole(response).await?;
            return Err(refusal(code, &body));
        }
        Ok(AnswerLines {
            path: self.path.clone(),
            body: response.into_body(),
            octets: Vec::new(),
        })
    }

    async fn ask_for<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
        at_most: Duration,
    ) -> Result<T, ClientError> {
        let asked = tokio::time::timeout(at_most, self.ask(method, path_and_query, body)).await;
        let asked = asked.unwrap_or_else(|_| Err(broken(&self.path, &"it took too long")));
        let (code, body) = asked?;
        if code == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|error| {
                broken(&self.path, &format_args!("not the JSON expected ({error})"))
            });
        }
        Err(refusal(code, &body))
    }

    async fn ask(
        &mut self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let response = self.send(method, path_and_query, body).await?;
        let code = response.status();
        Ok((code, self.whole(response).await?))
    }

    async fn send(
        &mut self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| broken(&self.path, &error))?;
        let ready = self.sender.ready().await;
        ready.map_err(|error| broken(&self.path, &error))?;
        let response = self.sender.send_request(request).await;
        response.map_err(|error| broken(&self.path, &error))
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect();
        let body = body.await.map_err(|error| broken(&self.path, &error))?;
        Ok(body.to_bytes())
    }
}

/// An answer of which each line is a value in JSON. Dropping it with its client closes the
/// connection.
#[derive(Debug)]
pub struct AnswerLines {
    path: PathBuf,
    body: Incoming,
    octets: Vec<u8>,
}

impl AnswerLines {
    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Broken`].
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.octets.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.octets.drain(..=end).collect();
                let value = serde_json::from_slice(&line);
                return value.map(Some).map_err(|error| {
                    broken(&self.path, &format_args!("not the JSON expected ({error})"))
                });
            }
            let Some(frame) = self.body.frame().await else {
                return match self.octets.len() {
                    0 => Ok(None),
                    _ => Err(broken(&self.path, &"it ended in the middle of a line")),
                };
            };
            let frame = frame.map_err(|error| broken(&self.path, &error))?;
            if let Ok(data) = frame.into_data() {
                self.octets.extend_from_slice(&data);
            }
            if self.octets.len() > ANSWER_LEN_MAX {
                return Err(broken(&self.path, &"a line without end"));
            }
        }
    }
}

fn refusal(code: StatusCode, body: &[u8]) -> ClientError {
    let message = match serde_json::from_slice(body) {
        Ok(Refusal { error }) => error,
        Err(_) => code.to_string(),
    };
    ClientError::Refused {
        code: code.as_u16(),
        message,
    }
}

fn broken(path: &Path, problem: &dyn std::fmt::Display) -> ClientError {
    ClientError::Broken {
        path: path.into(),
        problem: problem.to_string(),
    }
}

/// `text` as it may stand in a path segment or a query's value (RFC 3986 §2.3).
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                encoded.push(char::from(octet));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(encoded, "%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_encoded() {
        assert_eq!(percent_encoded("2001:db8::/56"), "2001:db8::%2F56");
        assert_eq!(percent_encoded("a b&c=ö%"), "a%20b%26c%3D%C3%B6%25");
    }
}
