import { mount } from "svelte";
import App from "./App.svelte";
import { router } from "./router.svelte";
import { session } from "./session.svelte";
import "./style.css";

router.start();
void session.start();
mount(App, { target: document.getElementById("app")! });
