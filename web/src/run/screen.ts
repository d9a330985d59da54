import { FitAddon } from "@xterm/addon-fit";
import { Terminal, type ITheme } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

// This is loaded when a terminal is first shown.

/**
 * allow has elements that xterm makes obey the page's policy: style elements have its nonce, and the styles of spans (colours of 24 bits, contrast)
 * are set in a way that it lets pass. xterm's option for another document isn't for all that it makes.
 */
let allow = () => {
  allow = () => {};
  const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions): HTMLElement => {
    const made = create(name, options);
    if (name === "style") made.nonce = nonce;
    if (name === "span") {
      made.setAttribute = (key: string, value: string) => {
        if (key === "style") made.style.cssText = value;
        else Element.prototype.setAttribute.call(made, key, value);
      };
    }
    return made;
  }) as typeof document.createElement;
};

/** theme has the page's colours as they are now. */
function theme(): ITheme {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    background: of("card"),
    foreground: of("text"),
    cursor: of("accent"),
    cursorAccent: of("card"),
    selectionBackground: of("line"),
    red: of("bad"),
    brightRed: of("bad"),
    green: of("good"),
    brightGreen: of("good"),
    yellow: of("warn"),
    brightYellow: of("warn"),
    blue: of("live"),
    brightBlue: of("live"),
    cyan: of("accent-text"),
    brightCyan: of("accent-text"),
    black: of("text"),
    brightBlack: of("muted"),
    white: of("muted"),
    brightWhite: of("text"),
  };
}

export interface Screen {
  term: Terminal;
  fit(): void;
  dispose(): void;
}

/** screenIn makes a terminal in an element. leave is called by the keys that lead out of it. */
export function screenIn(element: HTMLElement, leave: () => void): Screen {
  allow();
  const term = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono").trim(),
    fontSize: 13,
    scrollback: 5000,
    minimumContrastRatio: 4.5,
    cursorBlink: false,
    theme: theme(),
    // A link of a tool leads nowhere.
    linkHandler: { activate: () => {} },
  });
  // The tool may be hostile: titles (0, 1, 2), links (8) and the clipboard (52) aren't its own.
  for (const code of [0, 1, 2, 8, 52]) term.parser.registerOscHandler(code, () => true);
  term.attachCustomKeyEventHandler((e) => {
    if (!e.ctrlKey || !e.shiftKey || e.code !== "KeyL") return true;
    if (e.type === "keydown") {
      e.preventDefault();
      leave();
    }
    return false;
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.open(element);
  fit.fit();
  const resized = new ResizeObserver(() => fit.fit());
  resized.observe(element);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => (term.options.theme = theme());
  dark.addEventListener("change", repaint);
  return {
    term,
    fit: () => fit.fit(),
    dispose: () => {
      resized.disconnect();
      dark.removeEventListener("change", repaint);
      term.dispose();
    },
  };
}
