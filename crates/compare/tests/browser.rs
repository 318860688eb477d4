//! The pages in headless Chromium (Debian's package `chromium`). Without one the tests say so and
//! pass, unless `ZOO_REQUIRE_CHROMIUM=1`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use zoo_compare::{render, report::Report};

/// How long a page may take, on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(120);

fn sample() -> Report {
    serde_json::from_str(include_str!("sample.json")).unwrap()
}

fn page() -> String {
    render::html(&sample(), "Notes on bounds.")
}

fn board() -> String {
    let mut other = sample();
    other.environment.burn = "0.23.0".into();
    render::leaderboard(&[("one".into(), sample()), ("two".into(), other)])
}

/// A browser, with a folder of its own for one test.
struct Browser {
    program: PathBuf,
    folder: PathBuf,
}

/// What became of a page.
struct Shown {
    dom: String,
    log: String,
}

impl Browser {
    fn find(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut programs =
            std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
        let Some(program) = programs.find(|program| program.is_file()) else {
            let required = std::env::var("ZOO_REQUIRE_CHROMIUM").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "ZOO_REQUIRE_CHROMIUM=1, but no Chromium on PATH; apt-get install chromium"
            );
            eprintln!("SKIPPED {test}: no Chromium on PATH");
            return None;
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{test}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Some(Self { program, folder })
    }

    /// Writes `page` and shows it at `fragment`; `script` is added to the page's end.
    fn show(&self, page: &str, fragment: &str, script: &str) -> Shown {
        let file = self.write("page.html", page, script);
        let shown = self.open(&format!("file://{}{fragment}", file.display()));
        assert_eq!(shown.complaints(), Vec::<&str>::new());
        shown
    }

    fn write(&self, name: &str, page: &str, script: &str) -> PathBuf {
        let file = self.folder.join(name);
        let added = format!("<script>{script}</script></body>");
        fs::write(&file, page.replace("</body>", &added)).unwrap();
        file
    }

    fn open(&self, address: &str) -> Shown {
        let (dom, log) = (self.folder.join("dom.html"), self.folder.join("log.txt"));
        let mut child = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
            ])
            .args([
                "--hide-scrollbars",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
            ])
            .args([
                "--enable-logging=stderr",
                "--v=0",
                "--virtual-time-budget=3000",
                "--dump-dom",
            ])
            .arg(format!(
                "--user-data-dir={}",
                self.folder.join("profile").display()
            ))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(File::create(&dom).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "Chromium did not finish: {}",
                    fs::read_to_string(&log).unwrap()
                );
            }
            sleep(Duration::from_millis(50));
        }
        let read = |file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        let shown = Shown {
            dom: read(&dom),
            log: read(&log),
        };
        assert!(
            shown.dom.contains("</html>"),
            "no page; Chromium said: {}",
            shown.log
        );
        shown
    }
}

impl Shown {
    /// What a script left in the title.
    fn title(&self) -> &str {
        let title = self.dom.split_once("<title>").unwrap().1;
        title.split_once("</title>").unwrap().0
    }

    /// What the page's scripts or policy wrote to the console: errors, for want of anything else.
    fn complaints(&self) -> Vec<&str> {
        self.log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .collect()
    }

    /// Whether the cell of this fragment is open.
    fn is_open(&self, id: &str) -> bool {
        let before = self.dom.split_once(&format!("id=\"{id}\"")).unwrap().0;
        let details = &before[before.rfind("<details").unwrap()..];
        details[..details.find('>').unwrap()].contains(" open")
    }
}

#[test]
fn the_report_shows_its_parts_and_requests_nothing() {
    let Some(browser) = Browser::find("report") else {
        return;
    };
    let count = "document.title = performance.getEntriesByType('resource').length + ' requests, ' \
                 + document.querySelectorAll('svg.chart path.line').length + ' curves'";
    let shown = browser.show(&page(), "", count);
    // Two subjects' losses with reference and differences, and two curves of three convergences.
    assert_eq!(shown.title(), "0 requests, 30 curves");
    assert!(!shown.dom.contains("<details class=\"cell\" open"));
    for subject in ["lenet-mnist", "gpt-shakespeare"] {
        assert!(!shown.is_open(&format!("{subject}/wgpu")));
    }
}

#[test]
fn the_fragment_opens_its_cell_and_no_other() {
    let Some(browser) = Browser::find("fragment") else {
        return;
    };
    let shown = browser.show(&page(), "#lenet-mnist/wgpu", "");
    assert!(shown.is_open("lenet-mnist/wgpu"));
    assert_eq!(shown.dom.matches("class=\"cell\" open").count(), 1);
    let panel = shown.dom.split_once("id=\"lenet-mnist/wgpu\"").unwrap().1;
    let panel = panel.split_once("</details>").unwrap().0;
    for part in [
        "conv1",
        "conv2</code> <span class=\"flag\">first to depart",
        "fc3.bias",
        "Losses",
    ] {
        assert!(panel.contains(part), "{part}");
    }
    // Percent-encoded, as a browser's address bar has it.
    let shown = browser.show(&page(), "#gpt-shakespeare/flex%20f16", "");
    assert!(shown.is_open("gpt-shakespeare/flex%20f16"));
}

#[test]
fn the_fragment_opens_its_cell_without_a_script_of_ours_too() {
    let Some(browser) = Browser::find("no-script") else {
        return;
    };
    let page = page();
    let from = page.find("<script>").unwrap();
    let to = page.find("</script>").unwrap() + "</script>".len();
    let bare = format!("{}{}", &page[..from], &page[to..]);
    let shown = browser.show(&bare, "#lenet-mnist/wgpu", "");
    assert!(shown.is_open("lenet-mnist/wgpu"));
}

#[test]
fn a_click_on_a_cell_opens_it_and_moves_the_focus_there() {
    let Some(browser) = Browser::find("click") else {
        return;
    };
    let click = "document.querySelector('.matrix a[href=\"#lenet-mnist/vulkan\"]').click(); \
                 setTimeout(() => { document.title = location.hash + ' ' + \
                 document.activeElement.querySelector('b').textContent }, 500)";
    let shown = browser.show(&page(), "", click);
    assert_eq!(shown.title(), "#lenet-mnist/vulkan vulkan");
    assert!(shown.is_open("lenet-mnist/vulkan"));
}

#[test]
fn errors_of_a_page_are_seen() {
    let Some(browser) = Browser::find("errors") else {
        return;
    };
    let error = "throw new Error('seen')";
    let address = format!(
        "file://{}",
        browser.write("page.html", &page(), error).display()
    );
    assert!(
        browser
            .open(&address)
            .complaints()
            .iter()
            .any(|line| line.contains("seen"))
    );
    // The page's own policy refuses what it would request.
    let request = "new Image().src = 'http://127.0.0.1:9/a.gif'";
    let address = format!(
        "file://{}",
        browser.write("page.html", &page(), request).display()
    );
    assert_eq!(browser.open(&address).complaints().len(), 1);
}

/// The widths of a page in a window of 390 pixels with everything unfolded. A frame, because
/// Chromium's own windows are not that narrow.
fn widths(browser: &Browser, page: &str) -> String {
    let unfold = "document.querySelectorAll('details').forEach((one) => { one.open = true }); \
                  parent.postMessage(innerWidth + ' ' + document.documentElement.scrollWidth, '*')";
    browser.write("framed.html", page, unfold);
    let frame = "<!doctype html><html><head><title>none</title></head><body><script>\
                 onmessage = (event) => { document.title = event.data }</script>\
                 <iframe src=\"framed.html\" style=\"width:390px;height:800px;border:0\"></iframe>\
                 </body></html>";
    browser.show(frame, "", "").title().to_owned()
}

#[test]
fn nothing_is_wider_than_a_phone() {
    let Some(browser) = Browser::find("phone") else {
        return;
    };
    assert_eq!(widths(&browser, &page()), "390 390");
    assert_eq!(widths(&browser, &board()), "390 390");
    // The check itself sees what is too wide.
    let wide = page().replace("<main>", "<main><div style=\"width:500px\">x</div>");
    assert_ne!(widths(&browser, &wide), "390 390");
}

#[test]
fn the_leaderboard_sorts_and_filters() {
    let Some(browser) = Browser::find("leaderboard") else {
        return;
    };
    let use_it = "const rows = () => [...document.querySelectorAll('.board tbody tr')]; \
                  const press = (name) => [...document.querySelectorAll('.board th button')]\
                  .find((one) => one.textContent === name).click(); \
                  press('Memory'); \
                  const most = rows()[0].cells[7].textContent; \
                  press('Memory'); press('Memory'); press('Training'); \
                  const fastest = rows()[0].cells[2].textContent; \
                  const select = document.querySelector('.filter select'); \
                  select.value = 'gpt-shakespeare'; \
                  select.dispatchEvent(new Event('change')); \
                  const shown = rows().filter((row) => !row.hidden).length; \
                  document.title = [most, fastest, shown, rows().length].join('; ')";
    let shown = browser.show(&board(), "", use_it);
    assert_eq!(shown.title(), "583 MiB; torch compiled peerCPU; 16; 32");
}
