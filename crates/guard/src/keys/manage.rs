//! Making, changing and removing accounts and keys. What is done here holds on this node at
//! once, on others within [`super::POLL`].

use super::hash::{new_id, new_key};
use super::{DEFAULT_PLAN, Inner, Keys};
use crate::GuardError;
use crate::store::{AccountRow, KeyKind, KeyRow, Store};
use stillwatch_evidence::Secret;

/// An account to be made.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its plan; absent: `default`.
    pub plan: Option<String>,
    /// What the operator notes of it.
    pub note: String,
}

/// A key that was just made: the only time that it can be seen.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What is kept of it.
    pub row: KeyRow,
    /// The key.
    pub secret: Secret,
}

impl Keys {
    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Makes an account; `false` where the name is taken.
    ///
    /// # Errors
    /// The store fails.
    pub async fn create_account(&self, new: &NewAccount, now_ms: i64) -> Result<bool, GuardError> {
        let made = self.inner.store.insert_account(&account_row(new, now_ms)).await?;
        self.inner.refresh().await?;
        Ok(made)
    }

    /// Changes what is given; `false` where there is no such account.
    ///
    /// # Errors
    /// The store fails.
    pub async fn update_account(
        &self,
        name: &str,
        plan: Option<&str>,
        note: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<bool, GuardError> {
        let found = self.inner.store.update_account(name, plan, note, disabled).await?;
        self.inner.refresh().await?;
        Ok(found)
    }

    /// Removes an account and revokes its keys; `false` where there is none.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete_account(&self, name: &str, now_ms: i64) -> Result<bool, GuardError> {
        let found = self.inner.store.delete_account(name, now_ms).await?;
        self.inner.refresh().await?;
        Ok(found)
    }

    /// Makes a virtual key; `None` where there is no such account. From the first one on, every
    /// caller needs one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn create_key(
        &self,
        account: &str,
        label: &str,
        expires_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<Option<NewKey>, GuardError> {
        if self.inner.store.account(account).await?.is_none() {
            return Ok(None);
        }
        let new = self.inner.new_key(KeyKind::Virtual, account, label, expires_ms, now_ms)?;
        self.inner.store.insert_key(&new.row, false).await?;
        self.inner.refresh().await?;
        Ok(Some(new))
    }

    /// Makes an admin key.
    ///
    /// # Errors
    /// The store fails.
    pub async fn create_admin_key(
        &self,
        label: &str,
        expires_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<NewKey, GuardError> {
        let new = self.inner.make_admin_key(label, expires_ms, now_ms, false).await?;
        self.inner.refresh().await?;
        new.ok_or_else(|| GuardError::setting("the admin key wasn't made"))
    }

    /// Revokes a key; `false` where there is none of that name that holds.
    ///
    /// # Errors
    /// The store fails.
    pub async fn revoke_key(
        &self,
        kind: KeyKind,
        id: &str,
        now_ms: i64,
    ) -> Result<bool, GuardError> {
        let found = self.inner.store.revoke_key(kind, id, now_ms).await?;
        self.inner.refresh().await?;
        Ok(found)
    }

    /// Makes accounts with one key each, all or none: for moving in from elsewhere.
    ///
    /// # Errors
    /// The store fails, or a name is taken.
    pub async fn import_accounts(
        &self,
        new: &[NewAccount],
        now_ms: i64,
    ) -> Result<Vec<NewKey>, GuardError> {
        let rows: Vec<AccountRow> = new.iter().map(|new| account_row(new, now_ms)).collect();
        let mut keys = Vec::with_capacity(new.len());
        for account in new {
            keys.push(self.inner.new_key(KeyKind::Virtual, &account.name, "", None, now_ms)?);
        }
        let key_rows: Vec<KeyRow> = keys.iter().map(|key| key.row.clone()).collect();
        self.inner.store.insert_accounts(&rows, &key_rows).await?;
        self.inner.refresh().await?;
        Ok(keys)
    }

    /// Admin keys that hold now.
    pub fn n_admin_keys(&self, now_ms: i64) -> usize {
        self.inner.admins.load().iter().filter(|key| now_ms < key.expires_ms).count()
    }
}

fn account_row(new: &NewAccount, now_ms: i64) -> AccountRow {
    AccountRow {
        name: new.name.clone(),
        plan: new.plan.clone().unwrap_or_else(|| DEFAULT_PLAN.to_owned()),
        note: new.note.clone(),
        created_ms: now_ms,
        disabled: false,
        deleted: false,
        changed: 0,
    }
}

impl Inner {
    fn new_key(
        &self,
        kind: KeyKind,
        account: &str,
        label: &str,
        expires_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<NewKey, GuardError> {
        let (secret, prefix) = new_key(kind == KeyKind::Admin)?;
        let row = KeyRow {
            id: new_id()?,
            kind,
            account: account.to_owned(),
            hash: self.hasher.key(secret.expose()).to_vec(),
            prefix,
            label: label.to_owned(),
            created_ms: now_ms,
            expires_ms,
            revoked_ms: None,
            changed: 0,
        };
        Ok(NewKey { row, secret })
    }

    /// Makes an admin key; with `only_first`, only where no node ever made one.
    pub(super) async fn make_admin_key(
        &self,
        label: &str,
        expires_ms: Option<i64>,
        now_ms: i64,
        only_first: bool,
    ) -> Result<Option<NewKey>, GuardError> {
        let new = self.new_key(KeyKind::Admin, "", label, expires_ms, now_ms)?;
        Ok(self.store.insert_key(&new.row, only_first).await?.then_some(new))
    }
}
