//! A small archive on 127.0.0.1: it serves a directory, writes down what is asked for, and fails on request.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

/// What the server does wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Closes the connection after so many bytes of the body.
    CutAfter(usize),
    /// Sends the whole file, whatever range was asked for.
    IgnoreRange,
    /// Answers with this status line and these headers.
    Status(&'static str, &'static str),
    /// Sends these bytes as the file.
    Body(Vec<u8>),
    /// Sends the headers, half of the body, and then nothing more.
    Stall,
}

/// One request: its path, and from where its range began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub from: Option<usize>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    root: Option<PathBuf>,
    faults: HashMap<String, VecDeque<Fault>>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start(root: Option<PathBuf>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { root, ..State::default() }));
        let server = Server { url, state };
        let worker = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let worker = worker.clone();
                std::thread::spawn(move || worker.answer(stream));
            }
        });
        server
    }

    /// Serves `content` at `path`, with a checksum file beside it.
    pub fn put(&self, path: &str, content: Vec<u8>) {
        let name = path.rsplit('/').next().unwrap();
        let checksum = format!("{}  {name}\n", sha256(&content)).into_bytes();
        let mut state = self.state.lock().unwrap();
        state.files.insert(format!("{path}.CHECKSUM"), checksum);
        state.files.insert(path.to_owned(), content);
    }

    /// Serves `content` at `path`, and nothing beside it.
    pub fn put_raw(&self, path: &str, content: &str) {
        self.state.lock().unwrap().files.insert(path.to_owned(), content.as_bytes().to_vec());
    }

    /// Lets the next request for a path that ends so go wrong; more than one fault: one request after the other.
    pub fn fail(&self, path: &str, faults: &[Fault]) {
        self.state.lock().unwrap().faults.entry(path.to_owned()).or_default().extend(faults.iter().cloned());
    }

    /// What was asked for since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.trim_start_matches('/').to_owned();
        let mut from = None;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? <= 2 {
                break;
            }
            if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
                from = Some(range.trim().trim_end_matches('-').parse::<usize>().ok()?);
            }
        }
        let (mut body, fault) = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(Asked { path: path.clone(), from });
            let fault = state.faults.iter_mut().find(|(end, _)| path.ends_with(*end)).and_then(|(_, f)| f.pop_front());
            let on_disk = || fs::read(state.root.as_ref()?.join(&path)).ok();
            (state.files.get(&path).cloned().or_else(on_disk), fault)
        };
        if let Some(Fault::Body(other)) = &fault {
            body = Some(other.clone());
        }
        let mut stream = stream;
        if let Some(Fault::Status(status, headers)) = fault {
            return write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").ok();
        }
        let Some(body) = body else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
        };
        let from = from.filter(|_| !matches!(fault, Some(Fault::IgnoreRange)));
        let total = body.len();
        let (status, range) = match from {
            Some(from) if from >= total => ("416 Range Not Satisfiable", format!("content-range: bytes */{total}\r\n")),
            Some(from) => ("206 Partial Content", format!("content-range: bytes {from}-{}/{total}\r\n", total - 1)),
            None => ("200 OK", String::new()),
        };
        let rest = body.get(from.unwrap_or(0)..).unwrap_or(&[]);
        write!(stream, "HTTP/1.1 {status}\r\n{range}content-length: {}\r\nconnection: close\r\n\r\n", rest.len())
            .ok()?;
        match fault {
            Some(Fault::CutAfter(bytes)) => stream.write_all(&rest[..bytes.min(rest.len())]).ok(),
            Some(Fault::Stall) => {
                stream.write_all(&rest[..rest.len() / 2]).ok()?;
                std::thread::sleep(std::time::Duration::from_secs(3));
                None
            }
            _ => stream.write_all(rest).ok(),
        }
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A zip with one CSV of random-looking lines in it.
pub fn zip_of(name: &str, lines: usize) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    let mut number = 1u64;
    for _ in 0..lines {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(writer, "{number}").unwrap();
    }
    writer.finish().unwrap().into_inner()
}
