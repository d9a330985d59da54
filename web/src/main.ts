import { mount } from "svelte";
import App from "./App.svelte";
import { keepFocus } from "./parts/focus";
import { router } from "./router.svelte";
import { session } from "./session.svelte";
import "./style.css";

router.start();
keepFocus();
void session.start();
mount(App, { target: document.getElementById("app")! });
