//! What a confined process can still do: nothing. The process is this test
//! binary, started again for the one ignored test below.

use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use conche_script::confine;
use nix::errno::Errno;
use nix::sys::{prctl, ptrace, signal};
use nix::unistd;

use crate::rig::sandbox;

const EPERM: i32 = 1;

#[test]
fn a_confined_process_is_refused_everything() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "probes::try_everything",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let attempts: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once("attempt ").map(|(_, rest)| rest))
        .collect();
    assert_eq!(attempts.len(), 25, "{text}");
    for attempt in &attempts {
        assert!(attempt.ends_with(&format!("errno {EPERM}")), "{attempt}");
    }
    // Not by `println!`, which the test harness keeps to itself.
    writeln!(
        io::stdout(),
        "torture R12: {} attempts to escape from a worker, all of them refused by the kernel",
        attempts.len()
    )
    .unwrap();
}

#[test]
#[ignore = "confines its process; run by a_confined_process_is_refused_everything"]
fn try_everything() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    fs::write(inside("file"), "x").unwrap();
    let executable = std::env::current_exe().unwrap();
    let parent = unistd::getppid();
    confine(32 << 20).unwrap();

    report("open", fs::File::open("/etc/passwd"));
    report("open own environment", fs::read("/proc/self/environ"));
    report("open own memory", fs::File::open("/proc/self/mem"));
    report("open device", fs::File::open("/dev/null"));
    report("create", fs::File::create(inside("new")));
    report("list", fs::read_dir("/"));
    report("stat", fs::metadata("/"));
    report("make folder", fs::create_dir(inside("folder")));
    report("remove", fs::remove_file(inside("file")));
    report("rename", fs::rename(inside("file"), inside("other")));
    report("link", fs::hard_link(inside("file"), inside("other")));
    report("change folder", std::env::set_current_dir("/"));
    report("listen", TcpListener::bind("127.0.0.1:0"));
    report("connect", TcpStream::connect("127.0.0.1:9"));
    report("udp", UdpSocket::bind("127.0.0.1:0"));
    report("unix socket", UnixStream::connect("/run/any.sock"));
    report("socket pair", UnixStream::pair());
    report("fork and execute", Command::new(&executable).spawn());
    report("execute", Err::<(), _>(Command::new(&executable).exec()));
    report("thread", std::thread::Builder::new().spawn(|| ()));
    report("pipe", unistd::pipe().map_err(io::Error::from));
    report("ptrace", ptrace::traceme().map_err(io::Error::from));
    report(
        "signal",
        signal::kill(parent, None).map_err(io::Error::from),
    );
    report(
        "dumpable",
        prctl::set_dumpable(true).map_err(io::Error::from),
    );
    report(
        "limits",
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CPU, 1, 1)
            .map_err(io::Error::from),
    );
    std::process::exit(0);
}

#[allow(
    clippy::print_stdout,
    reason = "read by the test that started this process"
)]
fn report<T>(attempt: &str, result: io::Result<T>) {
    let errno = match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(Errno::UnknownErrno as i32),
    };
    println!("attempt {attempt}: errno {errno}");
}

#[tokio::test]
async fn a_worker_has_no_environment_and_no_descriptor_but_its_pipes() {
    // Something to inherit: an open file, and what cargo puts in the environment.
    let open = fs::File::open("/proc/self/status").unwrap();
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let sandbox = sandbox().await;
    let worker = sandbox.stats().pids[0];
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    assert_eq!(field("NoNewPrivs:").as_deref(), Some("1"));
    assert_eq!(field("Seccomp:").as_deref(), Some("2"));
    assert_eq!(field("Threads:").as_deref(), Some("1"));
    // Only root may look further into a process that is not dumpable.
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert!(
            fs::read(format!("/proc/{worker}/environ"))
                .unwrap()
                .is_empty()
        );
        let descriptors = fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
        let mut names: Vec<_> = descriptors
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["0", "1", "2"]);
        let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
        for (name, value) in [
            ("Max core file size", "0"),
            ("Max file size", "0"),
            ("Max processes", "0"),
            ("Max open files", "3"),
            ("Max cpu time", "120"),
        ] {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            assert_eq!(
                line[name.len()..].split_whitespace().next(),
                Some(value),
                "{line}"
            );
        }
    }
    drop(open);
}
