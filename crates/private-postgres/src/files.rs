//! The files of one cluster, and the lock that keeps a second process away from them.
//!
//! The data directory is ours; the server's user owns only `cluster` in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::error::{Context, Error};

/// Where everything of one cluster is.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the data directory if it is missing. It can be entered by others, since the server is another user.
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        make_enterable(dir).context(|| format!("create {}", dir.display()))?;
        let dir = dir.canonicalize().context(|| format!("find {}", dir.display()))?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// PostgreSQL's own data directory.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    /// Where a new cluster is made; renamed when it is complete.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.dir.join("cluster.new")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// The superuser's password, if there is one.
    pub(crate) fn password(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("password")).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Keeps the password in a file for the owner only.
    pub(crate) fn keep_password(&self, password: &str) -> Result<(), Error> {
        let (new, path) = (self.dir.join("password.new"), self.dir.join("password"));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            writeln!(file, "{password}")?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().context(|| format!("write {}", path.display()))
    }

    /// The port of the last run, so that addresses survive a restart if it is still free.
    pub(crate) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.dir.join("port")).ok()?.trim().parse().ok()
    }

    pub(crate) fn keep_port(&self, port: u16) -> Result<(), Error> {
        let path = self.dir.join("port");
        fs::write(&path, format!("{port}\n")).context(|| format!("write {}", path.display()))
    }

    /// Takes the directory for this process until the returned file is closed, which the kernel does if we are killed.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open().context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).ok().filter(|text| !text.trim().is_empty());
                let holder = holder.map_or_else(|| "unknown".into(), |text| text.trim().to_owned());
                return Err(Error::InUse { dir: self.dir.clone(), holder });
            }
            Err(fs::TryLockError::Error(error)) => return Err(error).context(|| format!("lock {}", path.display())),
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.context(|| format!("write {}", path.display()))?;
        Ok(file)
    }
}

/// Creates a directory and its parents so that others may enter them, whatever the umask.
fn make_enterable(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_enterable(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Creates a directory for one user only.
pub(crate) fn make_private(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(dir).context(|| format!("create {}", dir.display()))
}
