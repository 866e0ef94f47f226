//! Ragged rows in one allocation: one row per coin, one entry per text.

/// Rows of possibly different lengths.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    values: Vec<T>,
    ends: Vec<usize>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { values: Vec::new(), ends: Vec::new() }
    }
}

impl<T: Copy> Rows<T> {
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = T>) {
        self.values.extend(row);
        self.ends.push(self.values.len());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[T]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(from, to)| self.values.get(from..*to))
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All entries, row after row.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// Entry `chosen[i]` of row i, for each row.
    pub(crate) fn chosen(&self, chosen: &[usize]) -> impl Iterator<Item = T> {
        self.iter().zip(chosen).filter_map(|(row, at)| row.get(*at).copied())
    }

    /// The same shape with every entry mapped.
    pub(crate) fn map<U>(&self, f: impl FnMut(&T) -> U) -> Rows<U> {
        Rows { values: self.values.iter().map(f).collect(), ends: self.ends.clone() }
    }
}

impl<T: Copy> FromIterator<Vec<T>> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = Vec<T>>>(rows: I) -> Self {
        let mut out = Self::default();
        for row in rows {
            out.push(row);
        }
        out
    }
}
