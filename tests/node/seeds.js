// The client code of the protocol documents, unchanged but for the URL: who wrote against them must run as they are.
// `node seeds.js <program> <json>` runs one of the programs below as the user whom the JSON describes; what it shows
// on its page, it prints as JSON lines. Commands on standard input are what its user does: [method, ...arguments].
"use strict";

const io = require("socket.io-client");
const { createInterface } = require("node:readline");

const show = (what, value) => process.stdout.write(JSON.stringify({ what, value }) + "\n");
const options = JSON.parse(process.argv[3]);
const { url, token, conversationId } = options;

// chat-namespace.md, "React / Next.js": state setters print what the component would show.
function react() {
  const setMessages = (update) => { messages = update(messages); show("messages", messages); };
  const setIsTyping = (value) => show("isTyping", value);
  const setMessage = (value) => show("message", value);
  let messages = [];
  const socket = mount();

  function mount() {
    const newSocket = io(url + '/chat', {
      query: { token }
    });

    newSocket.on('connect', () => {
      console.error('✅ Connecté au WebSocket');

      // Rejoindre la conversation
      newSocket.emit('conversation:join', { conversationId });
      show("connected", newSocket.io.engine.transport.name);
    });

    newSocket.on('disconnect', () => {
      console.error('❌ Déconnecté du WebSocket');
    });

    // Écouter les nouveaux messages
    newSocket.on('message:new', (data) => {
      setMessages(prev => [...prev, data.message]);
    });

    // Écouter l'indicateur "typing"
    newSocket.on('user:typing', (data) => {
      setIsTyping(data.isTyping);
    });

    return newSocket;
  }

  return {
    // Envoyer un message
    sendMessage(message) {
      if (socket && message.trim()) {
        socket.emit('message:send', {
          conversationId,
          content: message
        }, (response) => {
          if (response.success) {
            setMessage('');
          }
        });
      }
    },
    // Indicateur "typing"
    handleTyping(typing) {
      if (socket) {
        socket.emit('message:typing', {
          conversationId,
          isTyping: typing
        });
      }
    },
    unmount() {
      socket.emit('conversation:leave', { conversationId });
      socket.close();
      show("unmounted", true);
    },
  };
}

// chat-namespace.md, "Vue.js": the component's functions as they stand there, on an object instead of a page.
function vue() {
  const component = {
    conversationId,
    token,
    socket: null,
    messages: [],
    message: '',
    isTyping: false,
    mounted() {
      this.socket = io(url + '/chat', {
        query: { token: this.token },
      });

      this.socket.on('connect', () => {
        this.socket.emit('conversation:join', {
          conversationId: this.conversationId,
        });
        show("connected", true);
      });

      this.socket.on('message:new', (data) => {
        this.messages.push(data.message);
        show("messages", this.messages);
      });

      this.socket.on('user:typing', (data) => {
        this.isTyping = data.isTyping;
        show("isTyping", this.isTyping);
      });
    },
    sendMessage() {
      if (this.message.trim()) {
        this.socket.emit('message:send', {
          conversationId: this.conversationId,
          content: this.message,
        });
        this.message = '';
      }
    },
    handleTyping(typing) {
      this.socket.emit('message:typing', {
        conversationId: this.conversationId,
        isTyping: typing,
      });
    },
  };
  component.mounted();
  return {
    sendMessage(text) { component.message = text; component.sendMessage(); },
    handleTyping: (typing) => component.handleTyping(typing),
  };
}

// chat-namespace.md, "client simple (HTML/JS)": its document holds what its inputs hold.
function page() {
  const fields = { token: { value: token }, conversationId: { value: String(conversationId) }, message: { value: '' } };
  const document = { getElementById: (id) => fields[id] };
  let socket;

  function connect() {
    const token = document.getElementById('token').value;

    socket = io(url + '/chat', {
      query: { token },
    });

    socket.on('connect', () => {
      console.error('✅ Connecté');
      addMessage('Système', 'Connecté au serveur');
    });

    socket.on('message:new', (data) => {
      addMessage('User ' + data.message.senderId, data.message.content);
    });

    socket.on('user:typing', (data) => {
      if (data.isTyping) {
        addMessage(
          'Système',
          `User ${data.userId} est en train d'écrire...`,
        );
      }
    });
  }

  function joinConversation() {
    const conversationId = parseInt(
      document.getElementById('conversationId').value,
    );
    socket.emit('conversation:join', { conversationId }, (response) => {
      console.error(response);
      addMessage('Système', response.message);
    });
  }

  function sendMessage() {
    const conversationId = parseInt(
      document.getElementById('conversationId').value,
    );
    const content = document.getElementById('message').value;

    socket.emit(
      'message:send',
      {
        conversationId,
        content,
      },
      (response) => {
        if (response.success) {
          document.getElementById('message').value = '';
          show("cleared", true);
        }
      },
    );
  }

  function addMessage(sender, content) {
    show("line", `${sender}: ${content}`);
  }

  return { connect, joinConversation, sendMessage, type: (text) => { fields.message.value = text; } };
}

// chat-namespace.md, "Événements": the three ways to sign in, and each call as it stands there.
function calls() {
  const ways = {
    query: () => io(url + '/chat', {
      query: {
        token,
      },
    }),
    auth: () => io(url + '/chat', {
      auth: {
        token,
      },
    }),
    header: () => io(url + '/chat', {
      extraHeaders: {
        Authorization: `Bearer ${token}`,
      },
    }),
  };
  const socket = ways[options.way]();
  socket.on("connect", () => show("connected", true));
  for (const name of ['message:new', 'user:typing', 'message:read:ack', 'user:online', 'user:offline', 'notification']) {
    socket.on(name, (data) => show(name, data));
  }
  return {
    emit: (event, payload) => socket.emit(event, payload, (response) => show(`ack ${event}`, response)),
    tell: (event, payload) => socket.emit(event, payload),
  };
}

// messaging-namespace.md: the hook useMessaging, whose calls and listeners the document gives.
async function hook() {
  // Récupération du token: the cookie is HttpOnly, so a page asks for what it holds.
  const answer = await fetch(`${url}/api/messaging/token`, { headers: { Cookie: `access_token=${token}` } });
  const { token: given } = await answer.json();
  let messages = [];
  const setMessages = (update) => { messages = update(messages); show("messages", messages); };
  let typing = new Set();
  const setTypingUsers = (update) => { typing = new Set(update(typing)); show("typingUsers", [...typing]); };

  const socket = io(`${url}/messaging`, {
    auth: { token: given },             // JWT brut
    withCredentials: true,              // Envoie les cookies
    transports: ["websocket", "polling"],
    reconnectionDelay: 1000,
    reconnectionDelayMax: 5000,
    reconnectionAttempts: 5,
  });

  socket.on("connect", () => show("isConnected", true));
  socket.on("disconnect", (reason) => show("isConnected", false));
  socket.on("connect_error", (error) => show("connect_error", error.message));
  socket.on("new-message", (message) => {
    setMessages(prev => [...prev, message])
  })
  socket.on("conversation-history", ({ conversationId, messages }) => {
    setMessages(() => messages);
  });
  socket.on("user-typing", ({ userId }) => {
    setTypingUsers(prev => new Set([...prev, userId]))
  })
  socket.on("user-stopped-typing", ({ userId }) => {
    setTypingUsers(prev => {
      prev.delete(userId)
      return prev
    })
  })
  socket.on("message-read", (data) => {
    setMessages(prev =>
      prev.map(msg =>
        msg.id === data.messageId
          ? { ...msg, isRead: true, readAt: data.readAt }
          : msg
      )
    )
  })
  socket.on("unread-count-updated", ({ totalUnread }) => show("totalUnread", totalUnread));
  socket.on("error", ({ message }) => show("error", message));

  return {
    joinConversation: (conversationId) => socket.emit("join-conversation", { conversationId }),
    leaveConversation: (conversationId) => socket.emit("leave-conversation", { conversationId }),
    sendMessage: (conversationId, content) =>
      socket.emit("send-message", { conversationId, content, attachments: [] }),
    startTyping: (conversationId) => socket.emit("user-typing", { conversationId }),
    stopTyping: (conversationId) => socket.emit("user-stopped-typing", { conversationId }),
    markAsRead: (messageId) => socket.emit("mark-as-read", { messageId }),
    markConversationAsRead: (conversationId) => socket.emit("mark-conversation-as-read", { conversationId }),
  };
}

async function main() {
  const actions = await { react, vue, page, calls, hook }[process.argv[2]]();
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on("line", (line) => {
    const [name, ...args] = JSON.parse(line);
    actions[name](...args);
  });
  lines.on("close", () => process.exit(0));
}

main();
