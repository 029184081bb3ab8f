//! Ends the server when we are killed and cannot do it ourselves.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

/// A shell that waits for the end of its input, which comes when this process ends in whatever way, and then asks the
/// server to shut down. Dropping this calls it off.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn over(server_pid: u32) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -INT \"$1\"", "sh", &server_pid.to_string()])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Killed before its input closes, so it never gets to the second command.
        if self.shell.kill().is_ok() {
            let _status = self.shell.wait();
        }
    }
}
