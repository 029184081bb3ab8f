//! As whom the server runs. PostgreSQL refuses to be root, so root drops to an unprivileged user.
//!
//! That user may be unable to reach a checkout below root's home, which is closed to others on most machines.
//! On Linux the server then gets one single capability, to look into directories, and nothing else of root's.

use std::{
    fs, io,
    os::unix::{fs::MetadataExt, fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::geteuid;

use crate::error::{Context, Error};

/// The user whom the server runs as, and how its processes are started.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Whom to drop to; `None` if we are an ordinary user already.
    drop_to: Option<User>,
    /// Whether the processes need help to look into closed directories.
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Chooses the user for the server in `data_dir`, whose files (if there are any) are in `cluster`.
    pub(crate) fn choose(data_dir: &Path, cluster: &Path) -> Result<Self, Error> {
        let owner = fs::metadata(cluster).ok().map(|found| found.uid());
        if !geteuid().is_root() {
            return match owner {
                Some(uid) if uid != geteuid().as_raw() => Err(Error::ForeignOwner(cluster.to_owned())),
                _ => Ok(Self { drop_to: None, closed: false }),
            };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        // What an ordinary user made stays theirs, and inside their checkout or home they can reach everything.
        let above = data_dir.ancestors().filter_map(|dir| Some(fs::metadata(dir).ok()?.uid()));
        let user = owner
            .into_iter()
            .chain(above)
            .filter(|uid| *uid != 0)
            .find_map(|uid| find(&passwd, |user| user.uid == uid))
            .or_else(|| find(&passwd, |user| user.name == "nobody"))
            .ok_or(Error::NoAccount)?;
        Ok(Self { drop_to: Some(user), closed: false })
    }

    /// Makes sure that the server's user can run `program` and get to `dir`, by giving it what it lacks.
    pub(crate) fn reach(&mut self, program: &Path, dir: &Path) -> Result<(), Error> {
        let Some(user) = self.drop_to.clone() else { return Ok(()) };
        if self.can_run(program, dir)? {
            return Ok(());
        }
        self.closed = true;
        match self.can_run(program, dir) {
            Ok(true) => {
                tracing::debug!("the PostgreSQL user {} may look into closed directories", user.name);
                Ok(())
            }
            _ => Err(Error::Unreachable { dir: first_closed(&[program, dir], &user), user: user.name }),
        }
    }

    /// Runs `program --version` in `dir`. The kernel checks both paths as the user, whatever grants it access.
    fn can_run(&self, program: &Path, dir: &Path) -> Result<bool, Error> {
        let mut command = Command::new(program);
        command.arg("--version").current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match self.spawn(&mut command).and_then(|mut child| child.wait()) {
            Ok(status) => Ok(status.success()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(error).context(|| format!("run {}", program.display())),
        }
    }

    /// Gives a file or directory to the server's user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Some(user) = &self.drop_to else { return Ok(()) };
        chown(path, Some(user.uid), Some(user.gid))
            .context(|| format!("give {} to the user {}", path.display(), user.name))
    }

    /// Starts a process as the server's user, in a process group of its own: Ctrl-C is for us, and we stop the server.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.process_group(0);
        if let Some(user) = &self.drop_to {
            // The other groups of root go with the change of user.
            command.uid(user.uid).gid(user.gid);
        }
        if self.closed { spawn_with_search(command) } else { command.spawn() }
    }

    /// Like [`Self::spawn`], and waits for the output.
    pub(crate) fn output(&self, command: &mut Command) -> io::Result<Output> {
        self.spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait_with_output()
    }
}

/// The first user in the text of `/etc/passwd` that fits.
fn find(passwd: &str, fits: impl Fn(&User) -> bool) -> Option<User> {
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(User { name, uid, gid })
        })
        .find(|user| user.uid != 0 && fits(user))
}

/// The outermost directory on the way to one of `paths` that `user` cannot enter, as far as the mode tells.
fn first_closed(paths: &[&Path], user: &User) -> PathBuf {
    let closed = |dir: &&Path| {
        fs::metadata(dir).is_ok_and(|found| {
            let bit = if found.uid() == user.uid {
                0o100
            } else if found.gid() == user.gid {
                0o010
            } else {
                0o001
            };
            found.mode() & bit == 0
        })
    };
    let outermost =
        |path: &&Path| path.ancestors().filter(|dir| dir.is_dir()).filter(closed).last().map(Path::to_owned);
    paths.iter().find_map(outermost).unwrap_or_else(|| paths.first().map(|path| path.to_path_buf()).unwrap_or_default())
}

/// Starts a process that keeps the one capability to look into directories (and to read files) through the change of
/// user. Capabilities belong to a thread, so a thread of its own is prepared for it and ends with the call.
#[cfg(target_os = "linux")]
fn spawn_with_search(command: &mut Command) -> io::Result<Child> {
    use rustix::thread::{
        CapabilitiesSecureBits, CapabilitySet, capabilities, capabilities_secure_bits,
        configure_capability_in_ambient_set, set_capabilities, set_capabilities_secure_bits,
    };
    let prepare = |wanted: CapabilitySet| -> io::Result<()> {
        let mut sets = capabilities(None)?;
        sets.inheritable |= wanted;
        set_capabilities(None, sets)?;
        // Without this the change of user would clear what the next line adds.
        set_capabilities_secure_bits(capabilities_secure_bits()? | CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        Ok(configure_capability_in_ambient_set(wanted, true)?)
    };
    std::thread::scope(|scope| {
        let prepared = scope.spawn(|| {
            // Containers often keep root from reading everything, but let it override permissions.
            prepare(CapabilitySet::DAC_READ_SEARCH).or_else(|_| prepare(CapabilitySet::DAC_OVERRIDE))?;
            command.spawn()
        });
        prepared.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts PostgreSQL panicked")))
    })
}

#[cfg(not(target_os = "linux"))]
fn spawn_with_search(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken line\nnobody:x:65534:65533::/:/bin/false\nann:x:1000:1001::/home/ann:/bin/sh\n";

    #[test]
    fn users_are_found_by_name_and_number_but_never_root() {
        let nobody = User { name: "nobody".into(), uid: 65534, gid: 65533 };
        assert_eq!(find(PASSWD, |user| user.name == "nobody"), Some(nobody));
        assert_eq!(find(PASSWD, |user| user.uid == 1000).map(|user| user.name), Some("ann".into()));
        assert_eq!(find(PASSWD, |user| user.name == "root"), None);
    }
}
