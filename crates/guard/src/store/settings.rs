//! Single values that all nodes agree on: the first to write one wins.

use super::Store;
use crate::GuardError;
use stillwatch_evidence::ledger::{Entropy as _, OsEntropy, from_hex_exact, to_hex};

impl Store {
    /// A key that all nodes agree on, drawn from the operating system by the first that asks.
    ///
    /// # Errors
    /// The database fails, no random bytes, or what is stored is no key.
    pub async fn agreed_key(&self, name: &str) -> Result<[u8; 32], GuardError> {
        let mut offered = [0; 32];
        OsEntropy.fill(&mut offered)?;
        let (agreed, _) = self.setting_or(name, &to_hex(&offered)).await?;
        from_hex_exact(&agreed)
            .map_err(|e| GuardError::setting(format!("the store's setting {name} is no key: {e}")))
    }

    /// A setting.
    ///
    /// # Errors
    /// The database fails.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        self.run(async {
            sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(name)
                .fetch_optional(self.pool())
                .await
        })
        .await
    }

    /// The setting, and whether it is the value that was offered: it is stored only where there
    /// is none, so that nodes which start at once agree.
    ///
    /// # Errors
    /// The database fails.
    pub async fn setting_or(
        &self,
        name: &str,
        offered: &str,
    ) -> Result<(String, bool), sqlx::Error> {
        self.run(async {
            let mut tx = self.begin().await?;
            let made = sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(offered)
            .execute(&mut *tx)
            .await?
            .rows_affected()
                == 1;
            let value = sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
                .bind(name)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok((value, made))
        })
        .await
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), sqlx::Error> {
        self.run(async {
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name)
            .bind(value)
            .execute(self.pool())
            .await
        })
        .await
        .map(drop)
    }
}
