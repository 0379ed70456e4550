// What the page says where nothing leaves the device.
const PRIVATE =
  "Photos are named on this device and never leave it. They stay in this browser until you remove them.";

const text = document.querySelector("#drop p");
const dropping = text.querySelector(".with-mouse");
for (const node of text.childNodes) {
  // Elements stay in their places, as others know them.
  if (node.nodeType === Node.TEXT_NODE) node.textContent = " ";
  else if (node !== dropping) node.hidden = true;
}
dropping.after(PRIVATE);

const ready = document.createElement("p");
ready.id = "offline";
document.querySelector("footer").append(ready);
navigator.serviceWorker?.ready.then(() => {
  ready.textContent = "This page is kept on this device and works without an Internet connection.";
});
