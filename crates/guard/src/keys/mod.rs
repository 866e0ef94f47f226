//! Accounts and virtual keys: whose request it is.
//!
//! Until the first virtual key is made every caller is let through under a pseudonym of what it
//! presented; afterwards only virtual keys are, even when all of them are revoked. Keys are kept
//! as hashes only, in the store and in memory; a request is matched in memory, and what other
//! nodes change arrives within [`POLL`].

mod guesses;
mod hash;
mod manage;
mod table;

pub use manage::{NewAccount, NewKey};

use crate::store::{KeyKind, KeyRow, Store, VIRTUAL_ONLY};
use crate::{Clock as _, GuardError, Identity, Secrets, SystemClock};
use arc_swap::ArcSwap;
use guesses::Guesses;
use hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stillwatch_evidence::Secret;
use subtle::{Choice, ConstantTimeEq as _};
use table::Table;

/// How often the store is asked for what other nodes changed.
pub const POLL: Duration = Duration::from_secs(2);
/// Rows that are read at once.
const PAGE: i64 = 5_000;
/// The plan of accounts without one.
pub const DEFAULT_PLAN: &str = "default";

/// Why a caller isn't let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key was presented.
    #[error("no API key was given: send it as \"authorization: Bearer KEY\" or \"x-api-key: KEY\"")]
    Missing,
    /// The key is unknown, revoked or expired.
    #[error("the API key is unknown")]
    Unknown,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// Too many wrong keys from this address. Right keys from it are let in all the same: many
    /// callers may share an address, and a key has 256 bits.
    #[error("too many wrong API keys from this address")]
    TooManyGuesses {
        /// When to try again, milliseconds.
        retry_after_ms: u64,
    },
}

#[derive(Debug)]
struct AdminKey {
    hash: [u8; 32],
    id: String,
    expires_ms: i64,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    hasher: Hasher,
    table: Table,
    admins: ArcSwap<Vec<AdminKey>>,
    /// Whether a virtual key was ever made.
    virtual_only: AtomicBool,
    guesses: Guesses,
    admin_guesses: Guesses,
    /// Number of the last change that memory has; one refresh at a time.
    seen: tokio::sync::Mutex<i64>,
}

/// The accounts and keys in memory, kept in step with the store.
#[derive(Debug)]
pub struct Keys {
    inner: Arc<Inner>,
    first: Mutex<Option<Secret>>,
    default_plan: Arc<str>,
    poll: tokio::task::AbortHandle,
}

impl Keys {
    /// Loads them; makes the first admin key where there never was one.
    ///
    /// # Errors
    /// The store fails, or its keys were hashed under another secret.
    pub async fn open(store: Store, _secrets: &Secrets) -> Result<Self, GuardError> {
        let now_ms = SystemClock.now_ms();
        let hasher = Hasher::open(&store).await?;
        store.purge_deleted(now_ms - table::TOMBSTONE_MS).await?;
        let inner = Arc::new(Inner {
            store,
            hasher,
            table: Table::new(),
            admins: ArcSwap::default(),
            virtual_only: AtomicBool::new(false),
            guesses: Guesses::default(),
            admin_guesses: Guesses::default(),
            seen: tokio::sync::Mutex::new(-1),
        });
        let first = inner.make_admin_key("first", None, now_ms, true).await?;
        inner.refresh().await?;
        let polled = Arc::clone(&inner);
        let poll = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(POLL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // A store that is away says so itself; memory goes on as it is.
                if let Err(error) = polled.refresh().await {
                    tracing::debug!(%error, "keys are not refreshed");
                }
            }
        })
        .abort_handle();
        Ok(Self {
            inner,
            first: Mutex::new(first.map(|new| new.secret)),
            default_plan: Arc::from(DEFAULT_PLAN),
            poll,
        })
    }

    /// Whose request it is. Takes no lock that a request could wait for, asks no database.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn authenticate(
        &self,
        presented: Option<&str>,
        ip: IpAddr,
        now_ms: i64,
    ) -> Result<Identity, KeyError> {
        let inner = &*self.inner;
        if !inner.virtual_only.load(Ordering::Acquire) {
            return self.pseudonymous(presented, ip);
        }
        let hash = inner.hasher.key(presented.ok_or(KeyError::Missing)?);
        let Some(account) = inner.table.account_of(&hash, now_ms) else {
            inner.guesses.wrong(ip, now_ms)?;
            return Err(KeyError::Unknown);
        };
        if account.is_disabled() {
            return Err(KeyError::Disabled);
        }
        let plan = inner.table.plan_of(&account);
        Ok(Identity { account: Arc::clone(&account.name), plan, is_virtual: true, ip })
    }

    /// The caller under a pseudonym that can't be traced back without the store's secret. An
    /// account of that name, where the operator made one, gives it a plan.
    fn pseudonymous(&self, presented: Option<&str>, ip: IpAddr) -> Result<Identity, KeyError> {
        let inner = &*self.inner;
        let name = match presented {
            Some(key) => inner.hasher.key_pseudonym(key),
            None => inner.hasher.address_pseudonym(ip),
        };
        let (account, plan) = match inner.table.account(&name) {
            Some(known) if known.is_disabled() => return Err(KeyError::Disabled),
            Some(known) => (Arc::clone(&known.name), inner.table.plan_of(&known)),
            None => (Arc::from(name), Arc::clone(&self.default_plan)),
        };
        Ok(Identity { account, plan, is_virtual: false, ip })
    }

    /// Whether callers need a virtual key.
    pub fn needs_virtual_key(&self) -> bool {
        self.inner.virtual_only.load(Ordering::Acquire)
    }

    /// Whether this is an admin key; wrong ones are counted by address.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::TooManyGuesses`].
    pub fn check_admin_from(
        &self,
        presented: &str,
        ip: IpAddr,
        now_ms: i64,
    ) -> Result<(), KeyError> {
        if self.admin_id(presented, now_ms).is_some() {
            return Ok(());
        }
        self.inner.admin_guesses.wrong(ip, now_ms)?;
        Err(KeyError::Unknown)
    }

    /// The name of the admin key that was presented. Compares with all of them, in constant time.
    pub fn admin_id(&self, presented: &str, now_ms: i64) -> Option<String> {
        let hash = self.inner.hasher.key(presented);
        let mut found = None;
        for key in self.inner.admins.load().iter() {
            let valid = Choice::from(u8::from(now_ms < key.expires_ms));
            if bool::from(key.hash.ct_eq(&hash) & valid) {
                found = Some(key.id.clone());
            }
        }
        found
    }

    /// Whether the admin key of this name is still one.
    pub fn is_admin(&self, id: &str, now_ms: i64) -> bool {
        self.inner.admins.load().iter().any(|key| &*key.id == id && now_ms < key.expires_ms)
    }

    /// The first admin key, once, where this call of [`Keys::open`] made it.
    pub fn first_admin_key(&self) -> Option<Secret> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A 32-byte pseudonym of any text, under the store's secret and a purpose of its own.
    pub fn pseudonym(&self, purpose: &str, text: &str) -> [u8; 32] {
        self.inner.hasher.pseudonym(purpose, text)
    }

    /// Accounts in memory.
    pub fn n_accounts(&self) -> usize {
        self.inner.table.n_accounts()
    }

    /// Reads what changed in the store now, instead of at the next poll.
    ///
    /// # Errors
    /// The store fails; memory stays as it was.
    pub async fn refresh(&self) -> Result<(), GuardError> {
        Ok(self.inner.refresh().await?)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

impl Inner {
    async fn refresh(&self) -> Result<(), sqlx::Error> {
        let mut seen = self.seen.lock().await;
        // Read before the rows: what changes meanwhile comes again with the next refresh.
        let version = self.store.keys_version().await?;
        if version == *seen {
            return Ok(());
        }
        let mut batch = self.table.batch();
        let mut after = (*seen + 1, String::new());
        loop {
            let rows = self.store.accounts_changed((after.0, &after.1), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = (last.changed, last.name.clone());
            for row in &rows {
                batch.account(row);
            }
        }
        batch.finish_accounts();
        let mut admins = Vec::new();
        let mut after = (*seen + 1, String::new());
        loop {
            let rows = self.store.keys_changed((after.0, &after.1), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = (last.changed, last.id.clone());
            for row in rows {
                match row.kind {
                    KeyKind::Virtual => batch.key(&row),
                    KeyKind::Admin => admins.push(row),
                }
            }
        }
        batch.finish_keys();
        if !admins.is_empty() {
            self.take_admins(admins);
        }
        if !self.virtual_only.load(Ordering::Acquire)
            && self.store.setting(VIRTUAL_ONLY).await?.is_some()
        {
            self.virtual_only.store(true, Ordering::Release);
        }
        *seen = version;
        Ok(())
    }

    fn take_admins(&self, changed: Vec<KeyRow>) {
        let mut admins: Vec<AdminKey> = self
            .admins
            .load()
            .iter()
            .filter(|known| changed.iter().all(|row| row.id != known.id))
            .map(|k| AdminKey { hash: k.hash, id: k.id.clone(), expires_ms: k.expires_ms })
            .collect();
        admins.extend(changed.into_iter().filter(|row| row.revoked_ms.is_none()).filter_map(
            |row| {
                let hash = row.hash.try_into().ok()?;
                Some(AdminKey { hash, id: row.id, expires_ms: row.expires_ms.unwrap_or(i64::MAX) })
            },
        ));
        self.admins.store(Arc::new(admins));
    }
}
