//! What an action can see and reach. Each probe is tried from inside and tells what came of it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::rig::{
    EXEC, PYTHON, named, returned, rig, rig_with, settings_for, text, until, with, zipped,
};
use conche_openwhisk_host::runtimes::{Run, Runtimes as _};

/// Tries something and tells the name of the exception, or what it gave.
fn probe(expression: &str) -> Run {
    let code = format!(
        "import os, socket, subprocess, ctypes, sys
def main(args):
    try: return {{'got': {expression}}}
    except BaseException as error: return {{'refused': type(error).__name__}}"
    );
    named(expression, text(PYTHON, &code))
}

fn refused(kinds: &[&str], answer: &Value) -> bool {
    answer["refused"]
        .as_str()
        .is_some_and(|refused| kinds.contains(&refused))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_machine_are_out_of_reach() {
    let Some(rig) = rig(PYTHON).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    for path in [folder.path(), &secret] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let secret = secret.display();
    let probes = [
        "open('/etc/shadow').read()".to_owned(),
        "os.listdir('/root')".to_owned(),
        "os.listdir('/')".to_owned(),
        "os.listdir('/tmp')".to_owned(),
        "os.listdir('/proc')".to_owned(),
        "open('/proc/1/environ').read()".to_owned(),
        format!("open('/proc/{}/environ').read()", std::process::id()),
        format!("open('{secret}').read()"),
        format!("open('{secret}', 'w').write('x')"),
        format!("os.remove('{secret}')"),
        "open('/usr/bin/new', 'w').write('x')".to_owned(),
        "open('/etc/hosts', 'a').write('x')".to_owned(),
        "os.symlink('/etc/shadow', os.environ['HOME'] + '/x') or open(os.environ['HOME'] + \
         '/x').read()"
            .to_owned(),
    ];
    for expression in probes {
        let answer = returned(rig.run(probe(&expression)).await);
        assert!(
            refused(&["PermissionError"], &answer),
            "{expression}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_a_folder_of_its_own_that_goes_with_it() {
    let Some(rig) = rig(PYTHON).await else { return };
    let write = "open(os.environ['TMPDIR'] + '/x', 'w').write('x') and os.environ['TMPDIR']";
    let run = probe(write);
    let answer = returned(rig.run(run.clone()).await);
    let home = answer["got"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&home).join("x").exists());
    let other = returned(rig.run(probe(&format!("open('{home}/x').read()"))).await);
    assert!(refused(&["PermissionError"], &other), "{other}");
    rig.forget(&run.action);
    until("the end of its folder", || {
        !std::path::Path::new(&home).exists()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_not_change_its_own_code_nor_read_anothers() {
    let Some(rig) = rig(PYTHON).await else { return };
    let code = "import os
def main(args):
    try: open(args.get('path', os.getcwd()) + '/__main__.py', args['mode']).read()
    except PermissionError: return {'refused': True, 'dir': os.getcwd()}
    return {'dir': os.getcwd()}";
    let archive = zipped(&[("__main__.py", code)]);
    let run =
        |name: &str, value: Value| with(value, named(name, super::rig::binary(PYTHON, &archive)));
    let own = returned(rig.run(run("a", json!({ "mode": "r" }))).await);
    let path = own["dir"].clone();
    assert_eq!(own, json!({ "dir": path }));
    let changed = returned(rig.run(run("a", json!({ "mode": "a" }))).await);
    assert_eq!(changed["refused"], json!(true));
    let other = returned(
        rig.run(run("b", json!({ "mode": "r", "path": path })))
            .await,
    );
    assert_eq!(other["refused"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes_are_out_of_reach() {
    let Some(rig) = rig(PYTHON).await else { return };
    let host = std::process::id();
    let libc = "ctypes.CDLL(None, use_errno=True)";
    let denied = [
        format!("os.kill({host}, 0)"),
        "os.setsid()".to_owned(),
        "os.setpgid(0, 0)".to_owned(),
    ];
    for expression in denied {
        let answer = returned(rig.run(probe(&expression)).await);
        assert!(
            refused(&["PermissionError", "OSError"], &answer),
            "{expression}: {answer}"
        );
    }
    let calls = [
        format!("{libc}.ptrace(16, {host}, 0, 0)"),
        format!("{libc}.unshare(0x10000000)"),
        format!("{libc}.chroot(b'/')"),
        format!("{libc}.syscall(425, 1, 0)"),
        format!("{libc}.mount(b'a', b'/', b'tmpfs', 0, 0)"),
    ];
    for expression in calls {
        let answer = returned(rig.run(probe(&expression)).await);
        assert_eq!(answer, json!({ "got": -1 }), "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gets_no_memory_that_can_not_be_counted() {
    let Some(rig) = rig(PYTHON).await else { return };
    let map = |flags: &str| format!("len(__import__('mmap').mmap(-1, 4096, {flags}))");
    let hidden = [
        "os.memfd_create('a')".to_owned(),
        map("__import__('mmap').MAP_SHARED"),
        map("__import__('mmap').MAP_SHARED | __import__('mmap').MAP_ANONYMOUS"),
        "open('/dev/zero', 'rb').read(1)".to_owned(),
    ];
    for expression in hidden {
        let answer = returned(rig.run(probe(&expression)).await);
        assert!(
            refused(&["OSError", "PermissionError"], &answer),
            "{expression}: {answer}"
        );
    }
    let private = map("__import__('mmap').MAP_PRIVATE | __import__('mmap').MAP_ANONYMOUS");
    assert_eq!(
        returned(rig.run(probe(&private)).await),
        json!({ "got": 4096 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_no_rights_and_can_get_none() {
    let Some(rig) = rig(PYTHON).await else { return };
    let answer = returned(rig.run(probe("open('/proc/self/status').read()")).await);
    let status = answer["got"].as_str().unwrap();
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert_eq!(field("Seccomp:"), ["2"]);
    if let Some(users) = rig.users {
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert!(field("Groups:").is_empty());
        let user: u32 = field("Uid:")[0].parse().unwrap();
        assert!((users.first..users.first + 4).contains(&user), "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_inherits_no_environment_and_no_descriptors() {
    let Some(rig) = rig(PYTHON).await else { return };
    let answer = returned(rig.run(probe("sorted(os.environ)")).await);
    let names: BTreeSet<&str> = answer["got"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let own = ["HOME", "LANG", "LC_CTYPE", "PATH", "TMPDIR"];
    let more = |name: &&&str| !name.starts_with("__OW_") && !own.contains(name);
    assert_eq!(names.iter().filter(more).count(), 0, "{names:?}");
    let open = "[fd for fd in range(200) if os.path.exists(f'/proc/self/fd/{fd}')]";
    let answer = returned(rig.run(probe(open)).await);
    assert_eq!(answer, json!({ "got": [0, 1, 2, 3] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_environment_does_not_reach_the_launcher() {
    let rig = rig(EXEC).await.unwrap();
    let mut run = text(EXEC, "#!/bin/sh\nread -r line; echo '{}' >&3; read -r line");
    run.env
        .insert("LD_PRELOAD".to_owned(), "/no/such/library.so".to_owned());
    let ran = rig.run(run).await;
    // The loader complains once for each program that it loads: the shell, and nothing else.
    let complaints = ran
        .logs
        .iter()
        .filter(|line| line.contains("/no/such/library.so"));
    assert_eq!(complaints.count(), 1, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_there_unless_it_is_denied() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
    });
    let connect = format!("socket.create_connection(('127.0.0.1', {port}), 20).recv(5).decode()");
    let Some(open) = rig(PYTHON).await else {
        // Nobody else will come.
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        return serve.join().unwrap();
    };
    assert_eq!(
        returned(open.run(probe(&connect)).await),
        json!({ "got": "hello" })
    );
    serve.join().unwrap();
    // Sockets in the file system may lead to a Docker daemon.
    let local = returned(
        open.run(probe("socket.socket(socket.AF_UNIX).fileno()"))
            .await,
    );
    assert!(refused(&["OSError", "PermissionError"], &local), "{local}");
    let mut settings = settings_for(PYTHON);
    settings.network = false;
    let closed = rig_with(PYTHON, settings).await.unwrap();
    for family in ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"] {
        for kind in ["SOCK_STREAM", "SOCK_DGRAM"] {
            let socket = format!("socket.socket(socket.{family}, socket.{kind}).fileno()");
            let answer = returned(closed.run(probe(&socket)).await);
            assert!(
                refused(&["OSError", "PermissionError"], &answer),
                "{socket}: {answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_confined_as_well() {
    let rig = rig(EXEC).await.unwrap();
    let code = "#!/bin/bash
read -r line
cat /etc/shadow >/dev/null 2>&1 && a=true || a=false
echo x 2>/dev/null >/usr/x && b=true || b=false
echo x >$TMPDIR/x && c=true || c=false
echo \"{\\\"shadow\\\":$a,\\\"usr\\\":$b,\\\"own\\\":$c}\" >&3
read -r line";
    let expected = json!({ "shadow": false, "usr": false, "own": true });
    assert_eq!(returned(rig.run(text(EXEC, code)).await), expected);
}
