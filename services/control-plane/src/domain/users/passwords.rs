//! Hashing passwords: slow on purpose, so off the threads that serve requests and only so many at a time.

use std::{num::NonZero, sync::Arc, time::Duration};

use api_core::secret::Secret;
use argon2::{
    Argon2,
    password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _},
};
use tokio::{sync::Semaphore, time::timeout};

use super::Error;

/// Requests that may wait for their turn; at some 40 hashes a second on a core, they wait no longer than [`WAIT`].
const QUEUE_MAX: usize = 128;
/// How long one waits before it is told to come back later.
const WAIT: Duration = Duration::from_secs(5);
const SALT_BYTES: usize = 16;

/// argon2id with 19 MiB, two passes and one lane.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Half of the cores: the other half goes on serving whatever the flood of logins.
    turns: Arc<Semaphore>,
    queue: Semaphore,
    /// Stands in for the hash of a user who is not there. No password fits it, and that takes as long to find out.
    nobody: String,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { turns: Arc::new(Semaphore::new((cores / 2).max(1))), queue: Semaphore::new(QUEUE_MAX), nobody: nobody() }
    }
}

impl Passwords {
    /// Hashes a password with a salt of its own.
    ///
    /// # Errors
    /// When too many wait.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, Error> {
        self.in_turn(move || hash(&password)).await
    }

    /// Whether `password` fits the hash. Without a hash it takes as long, and does not.
    ///
    /// # Errors
    /// When too many wait.
    pub(super) async fn fits(&self, password: Secret, hash: Option<String>) -> Result<bool, Error> {
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        self.in_turn(move || fits(&password, &hash)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.queue.try_acquire().map_err(|_full| Error::Busy)?;
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_elapsed| Error::Busy)?;
        let turn = turn.map_err(|error| Error::Hash(error.into()))?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn; // Held until the hash is there, even if the client has gone.
            work()
        });
        done.await.map_err(|error| Error::Hash(error.into()))?
    }
}

fn hash(password: &Secret) -> Result<String, Error> {
    let salt: [u8; SALT_BYTES] = rand::random();
    let hash = Argon2::default().hash_password_with_salt(password.expose().as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| Error::Hash(anyhow::anyhow!("{error}")))
}

fn fits(password: &Secret, hash: &str) -> Result<bool, Error> {
    match Argon2::default().verify_password(password.expose().as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(Error::Hash(anyhow::anyhow!("{error}"))),
    }
}

/// A hash with the parameters of all others that was never made of a password.
fn nobody() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let random = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let (salt, output) = (random(&rand::random::<[u8; SALT_BYTES]>()), random(&rand::random::<[u8; 32]>()));
    let defaults = Argon2::default();
    let parameters = defaults.params();
    let (m, t, p) = (parameters.m_cost(), parameters.t_cost(), parameters.p_cost());
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}")
}

#[cfg(test)]
mod tests {
    use api_core::secret::Secret;
    use futures_util::future::join_all;

    use super::{Passwords, QUEUE_MAX, fits, hash, nobody};
    use crate::domain::users::Error;

    #[test]
    fn a_hash_is_argon2id_with_a_salt_of_its_own_and_fits_its_password_alone() {
        let password = Secret::new("Correct-Horse-7");
        let (one, other) = (hash(&password).unwrap(), hash(&password).unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != other, "{one}");
        assert!(fits(&password, &one).unwrap());
        assert!(!fits(&Secret::new("correct-horse-7"), &one).unwrap());
        assert!(fits(&password, "no hash").is_err());
    }

    #[test]
    fn who_is_not_there_costs_as_much_and_never_fits() {
        let (real, none) = (hash(&Secret::new("x")).unwrap(), nobody());
        let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(&real), parameters(&none));
        assert_eq!(real.len(), none.len());
        assert!(!fits(&Secret::new("x"), &none).unwrap());
    }

    #[tokio::test]
    async fn beyond_the_queue_everybody_is_told_to_come_back() {
        let passwords = Passwords::default();
        // Nobody gets a turn.
        let all = passwords.turns.available_permits();
        let turns = passwords.turns.clone().acquire_many_owned(u32::try_from(all).unwrap()).await.unwrap();
        let waiting = join_all((0..QUEUE_MAX).map(|_| passwords.hash(Secret::new("x"))));
        let beyond = async {
            while passwords.queue.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            assert!(matches!(passwords.hash(Secret::new("x")).await, Err(Error::Busy)));
        };
        tokio::select! {
            _ = waiting => panic!("they had no turn"),
            () = beyond => {}
        }
        drop(turns);
        passwords.hash(Secret::new("x")).await.unwrap();
    }
}
