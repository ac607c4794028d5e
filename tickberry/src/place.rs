//! Where things lie when nobody says so.

use std::path::PathBuf;

/// `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/tickberry`, else `~/.local/state/tickberry`; with `-simulated` appended
/// when simulated. `None` where the environment names none of them. A unit with several state directories means the first.
pub(crate) fn data_dir(env: impl Fn(&str) -> Option<String>, simulated: bool) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut folder = set("STATE_DIRECTORY")
        .map(|folders| folders.split(':').next().unwrap_or_default().to_owned())
        .or_else(|| Some(format!("{}/tickberry", set("XDG_STATE_HOME")?)))
        .or_else(|| Some(format!("{}/.local/state/tickberry", set("HOME")?)))?;
    if simulated {
        folder.push_str("-simulated");
    }
    Some(PathBuf::from(folder))
}

/// The host's name, as the topics say it.
pub(crate) fn node() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
    if name.is_empty() { "local".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_directory_then_xdg_then_home() {
        let all = [("STATE_DIRECTORY", "/var/lib/tickberry"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        let at = |skip: usize, simulated| {
            data_dir(
                |name| all[skip..].iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()),
                simulated,
            )
        };
        assert_eq!(at(0, false), Some(PathBuf::from("/var/lib/tickberry")));
        assert_eq!(at(1, false), Some(PathBuf::from("/x/tickberry")));
        assert_eq!(at(2, true), Some(PathBuf::from("/h/.local/state/tickberry-simulated")));
        assert_eq!(at(3, true), None);
        let both = |_: &str| Some("/var/lib/tickberry/up:/var/lib/tickberry/up-simulated".to_owned());
        assert_eq!(data_dir(both, true), Some(PathBuf::from("/var/lib/tickberry/up-simulated")));
    }
}
