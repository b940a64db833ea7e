'use strict';

(() => {
  const form = document.getElementById('form');
  const input = document.getElementById('input');
  const messages = document.getElementById('messages');
  const send = document.getElementById('send');
  const status = document.getElementById('status');

  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const ws = new WebSocket(`${scheme}//${location.host}/chat`);

  ws.onopen = () => {
    status.textContent = 'Connected';
    send.disabled = false;
  };

  ws.onclose = (event) => {
    status.textContent = `Closed with ${event.code}. Reload to connect again.`;
    send.disabled = true;
  };

  ws.onmessage = (event) => {
    const item = document.createElement('li');

    item.textContent = event.data;
    messages.append(item);
    item.scrollIntoView();
  };

  form.onsubmit = (event) => {
    event.preventDefault();

    if (ws.readyState !== WebSocket.OPEN || input.value === '') return;

    ws.send(input.value);
    input.value = '';
  };
})();
