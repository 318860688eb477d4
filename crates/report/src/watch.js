(() => {
  const status = document.getElementById('watch');
  // Said once, not at every update: it is read aloud.
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };
  let run;
  const connect = () => {
    const events = new EventSource('/events');
    // Another run may be watched at the same port since.
    events.addEventListener('run', (event) => {
      run ??= event.data;
      if (run !== event.data) location.reload();
    });
    events.onmessage = (event) => {
      const live = document.getElementById('live');
      // The folder could not be read when the page was made, and now it can.
      if (!live) return location.reload();
      live.outerHTML = event.data;
      say('');
    };
    events.addEventListener('problem', (event) => say(event.data));
    events.addEventListener('finished', () => {
      events.close();
      location.reload();
    });
    events.onerror = () => {
      say('The connection to zoo watch is lost; trying again. What is shown may be old.');
      // Refused rather than interrupted: the browser does not try again by itself.
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
    };
  };
  connect();
})();
