//! Paths as a case remembers them: from its own folder, so that the whole can be moved.

use std::path::{Component, Path, PathBuf};

/// `path` from `folder`, with `/` between its parts; absolute where the two share no root.
pub(super) fn from_folder(folder: &Path, path: &Path) -> String {
    let (Ok(base), Ok(target)) = (std::path::absolute(folder), std::path::absolute(path)) else {
        return path.display().to_string();
    };
    let base: Vec<Component<'_>> = plain(&base);
    let target: Vec<Component<'_>> = plain(&target);
    let shared = base.iter().zip(&target).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return path.display().to_string();
    }
    let up = base.iter().skip(shared).map(|_| Component::ParentDir);
    let down = target.iter().skip(shared).copied();
    let relative: PathBuf = up.chain(down).collect();
    relative.display().to_string().replace('\\', "/")
}

/// Resolves `..` by name (a link in between may mislead; then the other places are looked at).
fn plain(path: &Path) -> Vec<Component<'_>> {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}
